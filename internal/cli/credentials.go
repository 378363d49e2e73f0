package cli

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/stackmeter/stackmeter/internal/agent"
)

// credentialFlags say what a controller and its agents know each other by: a key that they
// share, or certificates of one authority.
type credentialFlags struct {
	keyFile     string
	certificate string
	privateKey  string
	authority   string
	flags       *pflag.FlagSet
}

func (f *credentialFlags) register(fl *pflag.FlagSet) {
	f.flags = fl
	fl.StringVar(&f.keyFile, "key-file", "stackmeter.key", "`FILE` with the key that controller and agents share")
	fl.StringVar(&f.certificate, "certificate", "", "`FILE` with this end's certificate, instead of a shared key")
	fl.StringVar(&f.privateKey, "private-key", "", "`FILE` with the certificate's key")
	fl.StringVar(&f.authority, "authority", "", "`FILE` with the authority (ca.pem) whose certificates are let in")
}

// read reads the files. Its errors are the user's to mend.
func (f *credentialFlags) read() (agent.Credentials, error) {
	if f.certificate == "" && f.privateKey == "" && f.authority == "" {
		key, err := agent.ReadKey(f.keyFile)
		if err != nil {
			return nil, usage(err)
		}
		return key, nil
	}
	if f.certificate == "" || f.privateKey == "" || f.authority == "" {
		return nil, usage(errors.New("--certificate, --private-key and --authority go together; see `stackmeter keys`"))
	}
	if f.flags.Changed("key-file") {
		return nil, usage(errors.New("--key-file and --certificate: choose one"))
	}
	c, err := agent.ReadCertificate(f.certificate, f.privateKey, f.authority)
	if err != nil {
		return nil, usage(err)
	}
	return c, nil
}
