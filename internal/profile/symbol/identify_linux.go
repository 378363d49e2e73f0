package symbol

import (
	"io/fs"
	"syscall"
)

// identify is the file itself, by whatever path.
func identify(st fs.FileInfo) fileID {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(s.Dev), s.Ino}
	}
	return fileID{}
}
