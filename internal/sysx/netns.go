package sysx

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// NetNS returns the identity (inode number) of the calling thread's network
// namespace. Inode numbers of namespaces are used again after these are gone.
func NetNS() (uint64, error) { return NetNSOf("/proc/thread-self/ns/net") }

// NetNSOf returns the identity of the network namespace at path, such as
// /proc/PID/ns/net or a bind mount of one.
func NetNSOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("identify the network namespace %s: %w", path, err)
	}
	return st.Ino, nil
}

// NetNSCookie returns the number of the calling thread's network namespace that no
// other gets until the machine boots (SO_NETNS_COOKIE, Linux 5.14); 0 where the kernel has none.
func NetNSCookie() (uint64, error) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("identify the network namespace: %w", err)
	}
	defer unix.Close(s)
	cookie, err := unix.GetsockoptUint64(s, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("identify the network namespace: SO_NETNS_COOKIE: %w", err)
	}
	return cookie, nil
}

// InNetNS runs f in the network namespace at path, on a thread of its own that
// ends with it. f gets the path of a sysfs that shows that namespace's NICs; it is
// valid in all of this process's threads until f returns. f must not start
// goroutines that are to be in the namespace too.
//
// It needs CAP_SYS_ADMIN over the namespace, and Linux 5.2 for the detached
// mount.
func InNetNS(path string, f func(sysfs string) error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the runtime ends the thread, and its namespace with it.
		runtime.LockOSThread()
		done <- inNetNS(path, f)
	}()
	return <-done
}

func inNetNS(path string, f func(sysfs string) error) (err error) {
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	defer func() { err = errors.Join(err, ns.Close()) }()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace %s: %w (it takes CAP_SYS_ADMIN)", path, err)
	}
	dir, err := Sysfs()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return f(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
}

// Sysfs mounts a sysfs of the calling thread's network namespace that is
// attached nowhere: it is gone when the caller closes the file.
func Sysfs() (*os.File, error) {
	fs, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen of sysfs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("create a sysfs: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsmount of sysfs: %w", err)
	}
	return os.NewFile(uintptr(fd), "sysfs"), nil
}
