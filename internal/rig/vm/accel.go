package vm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Accel is what runs the guest's instructions.
type Accel string

// Accelerators.
const (
	AccelAuto Accel = ""    // KVM where it is usable, else TCG
	KVM       Accel = "kvm" // the CPU does
	TCG       Accel = "tcg" // QEMU translates them: functional only
)

// FunctionalOnly is what to say of figures from a guest under TCG.
const FunctionalOnly = "functional only: the guest ran without KVM, its instructions were interpreted; its speeds, CPU times and gains mean nothing"

// Choose settles AccelAuto.
func (a Accel) choose() (Accel, error) {
	why := kvmUnusable()
	switch {
	case a == AccelAuto && why == nil:
		return KVM, nil
	case a == AccelAuto:
		return TCG, nil
	case a == KVM:
		return KVM, why
	case a == TCG:
		return TCG, nil
	}
	return a, badf("accelerator %q: want %s or %s", a, KVM, TCG)
}

// kvmUnusable says why not. A /dev/kvm alone is not enough: without the CPU's own virtualisation
// the kernel emulates it, and stock kernels do not boot under that.
func kvmUnusable() error {
	no := func(reason, mend string) error {
		return &host.NotSupportedError{What: "KVM", Reason: reason, Mend: mend}
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return no(err.Error(), "load kvm_intel or kvm_amd, and be in the group kvm")
	}
	_ = f.Close()
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err
	}
	_, flags, _ := bytes.Cut(info, []byte("\nflags"))
	flags, _, _ = bytes.Cut(flags, []byte("\n"))
	for _, f := range bytes.Fields(flags) {
		if string(f) == "vmx" || string(f) == "svm" {
			return nil
		}
	}
	return no("this CPU offers no virtualisation (neither vmx nor svm)", "allow nested virtualisation for this machine")
}

// program is QEMU's path.
func program() (string, error) {
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return "", &host.NotSupportedError{What: "boot a guest", Reason: "there is no qemu-system-x86_64", Mend: "apt-get install qemu-system-x86, or dnf install qemu-system-x86"}
	}
	return path, nil
}

// Usable says why no guest can be booted here, nil if nothing is known to stand in the way.
func Usable(c Config) error {
	if _, err := program(); err != nil {
		return err
	}
	if f, err := os.OpenFile(tunDevice, os.O_RDWR, 0); err != nil {
		return &host.NotSupportedError{What: "plug a guest's NICs in", Reason: err.Error(), Mend: "modprobe tun, and in a container allow the device " + tunDevice}
	} else if err := f.Close(); err != nil {
		return err
	}
	if _, err := c.Accel.choose(); err != nil {
		return err
	}
	_, err := FindKernel(c.Kernel, c.Modules)
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	return nil
}
