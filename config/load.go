package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"syscall"

	"go.yaml.in/yaml/v3"
)

// maxBytes is far above any authgate.yaml; it keeps a wrong path, such as one to
// a disk image, from being read into memory.
const maxBytes = 1 << 20

// Load reads and checks the file. What is wrong inside it comes back as
// [fault.Faults]; that it could not be read, as a wrapped error of package os.
func Load(file string) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if errors.Is(err, syscall.EISDIR) {
		err = fmt.Errorf("%s is a directory; name the file in it", file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(file, data)
}

// Parse is [Load] on bytes. The name stands in the faults, and relative paths in
// the file are relative to its folder.
func Parse(name string, data []byte) (*Config, error) {
	r := &loader{file: name, dir: filepath.Dir(name), invalid: make(map[string]bool)}
	root, ok := r.parseDocument(data)
	if !ok {
		return nil, r.faults.Err()
	}
	config := Default()
	at := node{loader: r, value: root}
	decode(at, reflect.ValueOf(&config).Elem())
	config.check(at)
	if err := r.faults.Err(); err != nil {
		return nil, err
	}
	config.Audit.resolve(r)
	return &config, nil
}

// policyRow is a row of policy.csv, with which no line of a configuration begins.
var policyRow = regexp.MustCompile(`(?m)^\x{feff}?[pg][ \t]*,`)

// parseDocument gives the one mapping that the file has to be.
func (r *loader) parseDocument(data []byte) (*yaml.Node, bool) {
	if len(data) > maxBytes {
		r.faults.Add(r.position(nil), "the file is larger than 1 MiB", "is it authgate.yaml?")
		return nil, false
	}
	if policyRow.Match(data) {
		r.faults.Add(r.position(nil), "the file is a policy and not a configuration",
			"name it with --policy, or write it below policy: in authgate.yaml")
		return nil, false
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && isEmptyDocument(&document) {
		r.faults.Add(r.position(nil), "the file is empty",
			"write issuer, session, policy and upstreams; docs/configuration.md has all keys")
		return nil, false
	}
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			r.faults.Add(r.position(&second), "a second document begins here", "keep one, and no --- behind it")
			return nil, false
		}
	}
	if !errors.Is(err, io.EOF) {
		r.addSyntaxError(err, data)
		return nil, false
	}
	return document.Content[0], true
}

func isEmptyDocument(document *yaml.Node) bool {
	return len(document.Content) == 0 ||
		document.Content[0].Kind == yaml.ScalarNode && document.Content[0].ShortTag() == "!!null"
}
