// Package ustack is a TCP/IP stack in user space.
package ustack
