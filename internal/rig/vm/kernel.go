package vm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// KernelVariable names the kernel to use where none is asked for: a vmlinuz or a package.
const KernelVariable = "STACKMETER_VM_KERNEL"

// Kernel is what a guest boots.
type Kernel struct {
	Image   string // vmlinuz
	Modules string // directory of its modules
}

// CacheDir is where packages of kernels are looked for, and unpacked.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("where to keep kernels of guests: %w", err)
	}
	return filepath.Join(dir, "stackmeter", "kernels"), nil
}

// FindKernel finds the kernel to boot: the one asked for (a vmlinuz with the directory of its
// modules, or a Debian linux-image package), else what the environment names
// ([KernelVariable]), else a package in [CacheDir], else the running kernel's own files. A
// package is unpacked into CacheDir once.
func FindKernel(kernel, modules string) (Kernel, error) {
	if kernel == "" {
		kernel = os.Getenv(KernelVariable)
	}
	cache, err := CacheDir()
	if err != nil {
		return Kernel{}, err
	}
	if kernel == "" {
		debs, err := filepath.Glob(filepath.Join(cache, "linux-image-*.deb"))
		if err != nil {
			return Kernel{}, err
		}
		if len(debs) > 0 {
			kernel = slices.Max(debs)
		}
	}
	if kernel == "" {
		return runningKernel(cache)
	}
	if strings.HasSuffix(kernel, ".deb") {
		return packagedKernel(kernel, cache)
	}
	if _, err := os.Stat(kernel); err != nil {
		return Kernel{}, badf("kernel: %w", err)
	}
	if modules == "" {
		release, ok := strings.CutPrefix(filepath.Base(kernel), "vmlinuz-")
		if !ok {
			return Kernel{}, badf("kernel %s: name the directory of its modules too (--modules), or a file vmlinuz-RELEASE", kernel)
		}
		modules = filepath.Join("/lib/modules", release)
	}
	if _, err := os.Stat(modules); err != nil {
		return Kernel{}, badf("modules of the kernel %s: %w", kernel, err)
	}
	return Kernel{kernel, modules}, nil
}

// packagedKernel unpacks a package unless that was done before.
func packagedKernel(deb, cache string) (Kernel, error) {
	st, err := os.Stat(deb)
	if err != nil {
		return Kernel{}, badf("kernel: %w", err)
	}
	path, err := filepath.Abs(deb)
	if err != nil {
		return Kernel{}, err
	}
	id := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", path, st.Size(), st.ModTime().UnixNano()))
	dir := filepath.Join(cache, fmt.Sprintf("%s-%x", strings.TrimSuffix(filepath.Base(deb), ".deb"), id[:4]))
	image, modules, err := unpacked(dir)
	if err != nil {
		if err := unpackKernel(deb, dir); err != nil {
			return Kernel{}, err
		}
		if image, modules, err = unpacked(dir); err != nil {
			return Kernel{}, fmt.Errorf("%s: %w", dir, err)
		}
	}
	return Kernel{image, modules}, nil
}

// runningKernel is the machine's own, where its files are there and readable.
func runningKernel(cache string) (Kernel, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Kernel{}, err
	}
	release := unix.ByteSliceToString(u.Release[:])
	k := Kernel{"/boot/vmlinuz-" + release, "/lib/modules/" + release}
	f, err := os.Open(k.Image)
	if err == nil {
		err = f.Close()
	}
	if _, there := os.Stat(k.Modules); err != nil || there != nil {
		return Kernel{}, &host.NotSupportedError{
			What: "boot a guest", Reason: fmt.Sprintf("there is no kernel for it: %v", errors.Join(err, there)),
			Mend: fmt.Sprintf("fetch one: `mkdir -p %[1]s && cd %[1]s && apt-get download $(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: //p')` (Debian), or `dnf download kernel-core` unpacked and named by --kernel and --modules (Fedora)", cache),
		}
	}
	return k, nil
}
