package vm

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// unpackKernel unpacks vmlinuz and the modules that a guest may need from a Debian
// linux-image package into dir, which it makes, whole or not at all.
func unpackKernel(deb, dir string) (err error) {
	f, err := os.Open(deb)
	if err != nil {
		return err
	}
	defer f.Close()
	name, data, err := debData(f)
	if err != nil {
		return fmt.Errorf("%s: %w", deb, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".unpack-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	r, w := io.Pipe()
	go func() { w.CloseWithError(decompress(w, data, name)) }()
	if err := unpackTar(r, tmp, wantedOfKernel); err != nil {
		return fmt.Errorf("%s: %w", deb, errors.Join(err, r.CloseWithError(err)))
	}
	if _, _, err := unpacked(tmp); err != nil {
		return fmt.Errorf("%s: %w", deb, err)
	}
	err = os.Rename(tmp, dir)
	if _, _, there := unpacked(dir); err != nil && there == nil {
		return nil // another process was faster
	}
	return err
}

// debData finds the member data.tar.* of a package, an ar archive (ar(5)).
func debData(r io.Reader) (name string, data io.Reader, err error) {
	magic := make([]byte, 8)
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != "!<arch>\n" {
		return "", nil, errors.New("no Debian package: it does not begin as an ar archive does")
	}
	head := make([]byte, 60)
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return "", nil, fmt.Errorf("no Debian package: no member data.tar: %w", err)
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(head[48:58])), 10, 64)
		if err != nil || size < 0 {
			return "", nil, fmt.Errorf("no Debian package: size %q of a member", head[48:58])
		}
		name := strings.TrimRight(strings.TrimSpace(string(head[:16])), "/")
		if strings.HasPrefix(name, "data.tar") {
			return name, io.LimitReader(r, size), nil
		}
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
			return "", nil, err
		}
	}
}

// kernelParts are the directories of modules that a guest may need.
var kernelParts = []string{"arch", "crypto", "lib", "net", "drivers/char", "drivers/net", "drivers/virtio", "drivers/ptp", "drivers/pps", "drivers/dca", "drivers/i2c", "drivers/hwmon"}

// wantedOfKernel reports whether a guest may need a file of the package.
func wantedOfKernel(name string) bool {
	if strings.HasPrefix(name, "boot/vmlinuz-") || path.Base(name) == "modules.builtin" {
		return true
	}
	_, part, ok := strings.Cut(name, "/kernel/")
	if !ok || strings.HasPrefix(part, "drivers/net/wireless/") {
		return false
	}
	for _, p := range kernelParts {
		if strings.HasPrefix(part, p+"/") {
			return true
		}
	}
	return false
}

// unpackTar unpacks the plain files that are wanted below dir; nothing else of an archive is
// believed, links and names that lead out of dir least.
func unpackTar(r io.Reader, dir string, want func(name string) bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			// What wrote the archive may pad it: let it finish.
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "./"))
		if h.Typeflag != tar.TypeReg || !want(name) {
			continue
		}
		if err := unpackFile(root, name, t, fs.FileMode(h.Mode).Perm()); err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, r io.Reader, mode fs.FileMode) (err error) {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode|0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, r)
	return err
}

// unpacked finds vmlinuz and the modules of an unpacked package.
func unpacked(dir string) (vmlinuz, modules string, err error) {
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil {
		return "", "", err
	}
	if len(images) != 1 {
		return "", "", fmt.Errorf("holds %d files boot/vmlinuz-*, want one: is it a linux-image package? (linux-image-amd64 itself only points to one)", len(images))
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	for _, lib := range []string{"lib", "usr/lib"} {
		modules = filepath.Join(dir, lib, "modules", release)
		if _, err = os.Stat(modules); err == nil {
			return images[0], modules, nil
		}
	}
	return "", "", fmt.Errorf("holds no modules: %w", err)
}
