package server

import (
	"context"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	memoryPercent = 90               // of the container's memory, for Go; the rest is for stacks and the kernel's buffers
	limitRefresh  = 30 * time.Second // until a container that is resized in place is noticed

	noMemoryLimit = math.MaxInt64
	maxLimit      = 1 << 60 // cgroup v1 says "none" with a number above this
)

// followMemoryLimit has the garbage collector work harder near the memory limit of the
// container until ctx ends, so that the kernel does not end the process. GOMEMLIMIT takes
// precedence. The runtime derives GOMAXPROCS from the CPU limit in the same way.
func followMemoryLimit(ctx context.Context, log *slog.Logger) {
	system := os.DirFS("/")
	given := os.Getenv("GOMEMLIMIT") != ""
	if !given {
		setMemoryLimit(system)
	}
	logRuntimeLimits(log)
	if given {
		return
	}
	ticker := time.NewTicker(limitRefresh)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if setMemoryLimit(system) {
				logRuntimeLimits(log)
			}
		}
	}
}

func logRuntimeLimits(log *slog.Logger) {
	var limit any = "none"
	if bytes := debug.SetMemoryLimit(-1); bytes != noMemoryLimit {
		limit = bytes
	}
	log.Info("runtime limits", "gomaxprocs", runtime.GOMAXPROCS(0), "gomemlimit", limit)
}

// setMemoryLimit reports whether the limit has changed.
func setMemoryLimit(system fs.FS) bool {
	limit := int64(noMemoryLimit)
	if container := containerMemory(system); container > 0 {
		limit = container / 100 * memoryPercent
	}
	return debug.SetMemoryLimit(limit) != limit
}

// containerMemory is the smallest memory limit of the process's cgroup and of those above
// it; 0: none is known. In a container without a cgroup namespace the path of the cgroup is
// the host's: only the top of the mounted tree exists then, and it is the container's own.
func containerMemory(system fs.FS) int64 {
	memberships, err := fs.ReadFile(system, "proc/self/cgroup")
	if err != nil {
		return 0 // not Linux
	}
	mount, file, at := memoryController(string(memberships))
	smallest := int64(0)
	for ; ; at = path.Dir(at) {
		text, err := fs.ReadFile(system, path.Join(mount, at, file))
		if err == nil {
			limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max": none
			if err == nil && limit > 0 && limit < maxLimit && (smallest == 0 || limit < smallest) {
				smallest = limit
			}
		}
		if at == "/" || at == "." {
			return smallest
		}
	}
}

// memoryController finds the memory controller in /proc/self/cgroup (cgroups(7)): where it is
// mounted, its file with the limit, and the path of the process's cgroup below the mount.
func memoryController(memberships string) (mount, file, at string) {
	at = "/"
	for line := range strings.Lines(memberships) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if slices.Contains(strings.Split(fields[1], ","), "memory") { // version 1
			return "sys/fs/cgroup/memory", "memory.limit_in_bytes", path.Clean("/" + fields[2])
		}
		if fields[0] == "0" {
			at = path.Clean("/" + fields[2])
		}
	}
	return "sys/fs/cgroup", "memory.max", at
}
