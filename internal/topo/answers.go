package topo

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// answersDir is the directory of a captured tree for what is no file of the host.
const answersDir = "stackmeter"

// Answers is what the kernel says of a NIC over ioctl and netlink: the content of
// stackmeter/nic/NAME.json in a capture.
type Answers struct {
	Ethtool *host.Ethtool     `json:"ethtool,omitempty"`
	Queues  []host.Queue      `json:"queues,omitempty"`
	NAPIs   []host.NAPI       `json:"napis,omitempty"`
	Refused map[string]string `json:"refused,omitempty"` // by question: why it was not answered
}

// asker gets the answers about a NIC; nil where there are none.
type asker func(r *reader, name string, index int) *Answers

// askKernel asks the running kernel, whose files are at root.
func askKernel(root host.Root) asker {
	return func(r *reader, name string, index int) *Answers {
		a := kernelAnswers(root, name, index)
		if r.keep != nil {
			b, err := json.MarshalIndent(a, "", " ")
			if err != nil {
				r.warn(answersFile(name), err)
			}
			r.keep.Write(answersFile(name), string(b)+"\n")
		}
		return a
	}
}

func kernelAnswers(root host.Root, name string, index int) *Answers {
	a := &Answers{Refused: map[string]string{}}
	e, err := host.ReadEthtool(name)
	if err != nil {
		a.Refused["ethtool"] = err.Error()
	} else {
		for what, why := range e.Refused {
			a.Refused[what] = why
		}
		e.Refused, a.Ethtool = nil, e
	}
	if a.Queues, err = host.Queues(index); err != nil {
		a.Refused["queues"] = short(err)
	}
	if a.NAPIs, err = root.NAPIs(name); err != nil {
		a.Refused["napis"] = short(err)
	}
	return a
}

// short is an error without what led to it, where it is the kernel's.
func short(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

func answersFile(nic string) string { return path.Join(answersDir, "nic", nic+".json") }

// readAnswers takes the answers from a captured tree.
func readAnswers(r *reader, name string, _ int) *Answers {
	file := answersFile(name)
	s, ok := r.content(file, nil)
	if !ok {
		return nil
	}
	var a Answers
	if err := json.Unmarshal([]byte(s), &a); err != nil {
		r.warn(file, fmt.Errorf("no answers about a NIC: %w", err))
		return nil
	}
	return &a
}
