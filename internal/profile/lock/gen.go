package lock

// Regenerating needs clang and libbpf's headers (Debian: clang llvm
// libbpf-dev); building and running do not. One object serves every little
// endian architecture: nothing in it depends on registers.
//
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go@v0.22.0 -go-package lock -target bpfel -type site_key -type site -cflags "-O2 -g -Wall -Werror -mcpu=v3" lock lock.c
