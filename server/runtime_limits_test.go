package server

import (
	"testing"
	"testing/fstest"
)

func TestMemoryLimitIsThatOfTheContainer(t *testing.T) {
	t.Parallel()
	const v1, v2 = "sys/fs/cgroup/memory/", "sys/fs/cgroup/"
	for name, c := range map[string]struct {
		cgroup string
		files  map[string]string
		want   int64
	}{
		"a pod with cgroup v2": {"0::/\n", map[string]string{v2 + "memory.max": "268435456\n"}, 268435456},
		"without a limit":      {"0::/\n", map[string]string{v2 + "memory.max": "max\n"}, 0},
		"a unit of systemd": {
			"0::/system.slice/authgate.service\n",
			map[string]string{v2 + "system.slice/authgate.service/memory.max": "1000000", v2 + "system.slice/memory.max": "max"},
			1000000,
		},
		"a limit above the unit": {
			"0::/system.slice/authgate.service\n",
			map[string]string{v2 + "system.slice/authgate.service/memory.max": "9000000", v2 + "system.slice/memory.max": "4000000"},
			4000000,
		},
		"a pod with cgroup v1": {
			"5:cpu,cpuacct:/\n4:memory:/\n0::/\n",
			map[string]string{v1 + "memory.limit_in_bytes": "268435456\n", v2 + "memory.max": "1\n"},
			268435456,
		},
		"a container that sees the host's path": {
			"4:memory:/kubepods/burstable/pod1/c1\n", map[string]string{v1 + "memory.limit_in_bytes": "268435456\n"}, 268435456,
		},
		"cgroup v1 without a limit":     {"4:memory:/\n", map[string]string{v1 + "memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"an empty file":                 {"0::/\n", map[string]string{v2 + "memory.max": ""}, 0},
		"a negative number":             {"0::/\n", map[string]string{v2 + "memory.max": "-1"}, 0},
		"a path that leads out":         {"0::/../../etc\n", map[string]string{"etc/memory.max": "1"}, 0},
		"lines that are not understood": {"x\n\n0::\n", map[string]string{v2 + "memory.max": "77"}, 77},
		"no such file":                  {"0::/a/b\n", nil, 0},
	} {
		system := fstest.MapFS{"proc/self/cgroup": {Data: []byte(c.cgroup)}}
		for file, text := range c.files {
			system[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := containerMemory(system); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := containerMemory(fstest.MapFS{}); got != 0 {
		t.Errorf("a system without cgroups: %d", got)
	}
}
