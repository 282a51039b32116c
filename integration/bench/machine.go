package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// machine is where a run took place.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

func thisMachine() machine {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return machine{CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Kernel: strings.TrimSpace(string(kernel)), Go: runtime.Version()}
}

// residentKiB is how much memory a process holds.
func residentKiB(pid int) (int, error) {
	file := fmt.Sprintf("/proc/%d/status", pid)
	size, err := strconv.Atoi(strings.TrimSuffix(field(file, "VmRSS"), " kB"))
	if err != nil {
		return 0, fmt.Errorf("%s has no VmRSS: %w", file, err)
	}
	return size, nil
}

// cpuMicros is how long a process has computed, its system calls included. A
// machine that has other work to do changes it little.
func cpuMicros(pid int) (float64, error) {
	file := fmt.Sprintf("/proc/%d/stat", pid)
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	const perTick = 10_000 // proc(5): USER_HZ is 100 wherever Go runs
	var ticks float64
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name before it may hold blanks
	for _, n := range []int{14, 15} {                                         // as proc_pid_stat(5) counts, utime and stime
		if n-3 >= len(fields) {
			return 0, fmt.Errorf("%s has %d fields", file, len(fields))
		}
		value, err := strconv.ParseFloat(fields[n-3], 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		ticks += value
	}
	return ticks * perTick, nil
}

// field is the first value under a name in files such as proc(5) has.
func field(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// raiseFileLimit lets this process and those that it starts have as many
// descriptors as the system gives: a proxied WebSocket takes two.
func raiseFileLimit() (descriptors uint64) {
	const wanted = 1 << 17
	limit := syscall.Rlimit{Cur: wanted, Max: wanted}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) == nil { // as root
		return wanted
	}
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil && limit.Cur < limit.Max {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // else it stays as it is
	}
	return limit.Cur
}
