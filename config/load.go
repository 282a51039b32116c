package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"syscall"

	"github.com/example-org/authgate/yamlfile"
)

// maxBytes is far above any authgate.yaml; it keeps a wrong path, such as one to
// a disk image, from being read into memory.
const maxBytes = 1 << 20

// Load reads and checks the file. Mistakes in it are returned as [fault.Faults], a file
// that cannot be read as a wrapped error of package os.
func Load(name string) (*Config, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if errors.Is(err, syscall.EISDIR) {
		err = fmt.Errorf("%s is a directory; name the file in it", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(name, data)
}

// policyRow is a row of policy.csv, with which no line of a configuration begins.
var policyRow = regexp.MustCompile(`(?m)^\x{feff}?[pg][ \t]*,`)

// Parse is [Load] on bytes. Faults name the file, and relative paths in it are relative to
// its folder.
func Parse(name string, data []byte) (*Config, error) {
	f := yamlfile.NewFile(name)
	switch {
	case len(data) > maxBytes:
		f.AddFault("the file is larger than 1 MiB", "is it authgate.yaml?")
		return nil, f.Err()
	case policyRow.Match(data):
		f.AddFault("the file is a policy and not a configuration",
			"name it with --policy, or write it below policy: in authgate.yaml")
		return nil, f.Err()
	}
	root, ok := f.Parse(data, "write issuer, session, policy and upstreams; docs/configuration.md has all keys")
	if !ok {
		return nil, f.Err()
	}
	config := Default()
	yamlfile.Decode(root, &config, decodeValue)
	config.check(root)
	if err := f.Err(); err != nil {
		return nil, err
	}
	config.Policy.resolve()
	config.Audit.resolve(root)
	return &config, nil
}
