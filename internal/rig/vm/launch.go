package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// LaunchRole is the role of the process that becomes QEMU, in a network namespace of its own.
const LaunchRole = "vm-launch"

// launchVariable holds the JSON of a launch.
const launchVariable = "STACKMETER_VM_LAUNCH"

const tunDevice = "/dev/net/tun"

// tapMTU is what the taps and bridges carry at most.
const tapMTU = 9216

// launch is what to make in the namespace and what to become then.
type launch struct {
	Parent  int      `json:"parent"` // process that wants it
	Taps    []tap    `json:"taps"`
	Program string   `json:"program"`
	Args    []string `json:"args"`
}

// tap is the plug of a NIC.
type tap struct {
	Name    string `json:"name"`
	Queues  int    `json:"queues"`
	Segment int    `json:"segment"` // 0: none
}

// command starts a launch in a new network namespace, where needed in a user namespace.
func (l launch) command() (*exec.Cmd, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	cmd := selfexec.Command(context.Background(), LaunchRole, launchVariable+"="+string(b))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET, Setpgid: true, // Ctrl-C is for us: the guest is asked to end
		Pdeathsig: syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd, nil
}

// Launch is the main function of LaunchRole. It returns only where it failed.
func Launch() int {
	var l launch
	err := json.Unmarshal([]byte(os.Getenv(launchVariable)), &l)
	os.Unsetenv(launchVariable)
	if err == nil {
		err = l.plug()
	}
	if err == nil {
		// The signal at the parent's death belongs to a thread: the one that becomes QEMU needs it.
		runtime.LockOSThread()
		err = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	}
	if err == nil && os.Getppid() != l.Parent {
		err = errors.New("who wanted it has ended")
	}
	if err == nil {
		err = syscall.Exec(l.Program, append([]string{l.Program}, l.Args...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "start the guest:", err)
	return 1
}

// plug makes the taps and a bridge for each segment.
func (l launch) plug() error {
	// The bridges are to be silent; a kernel without IPv6 has no such file.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	for _, t := range l.Taps {
		if err := t.make(); err != nil {
			return fmt.Errorf("tap %s: %w", t.Name, err)
		}
		link, err := netlink.LinkByName(t.Name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetMTU(link, tapMTU); err != nil {
			return fmt.Errorf("tap %s: %w", t.Name, err)
		}
		if t.Segment > 0 {
			if err := joinSegment(link, t.Segment); err != nil {
				return err
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("tap %s: %w", t.Name, err)
		}
	}
	return nil
}

// make makes a persistent tap, of several queues where QEMU will open several.
func (t tap) make() error {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", tunDevice, err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(t.Name)
	if err != nil {
		return err
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if t.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	req.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return fmt.Errorf("make it: %w", err)
	}
	return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
}

// joinSegment puts a tap into the bridge of a segment, which it makes if it is the first.
func joinSegment(link netlink.Link, segment int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("seg%d", segment)
	br, err := netlink.LinkByName(attrs.Name)
	if err != nil {
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return fmt.Errorf("make the bridge %s: %w (does this kernel have bridge?)", attrs.Name, err)
		}
		if br, err = netlink.LinkByName(attrs.Name); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(br); err != nil {
			return fmt.Errorf("bridge %s: %w", attrs.Name, err)
		}
	}
	if err := netlink.LinkSetMaster(link, br); err != nil {
		return fmt.Errorf("bridge %s: %w", attrs.Name, err)
	}
	return nil
}
