package config

import (
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
)

// report gathers what is wrong with one file.
type report struct {
	file   string // as faults name it
	dir    string // what relative paths in the file are relative to
	faults fault.List
	broken map[string]bool // paths that have no value, because the one written was refused
	values int             // how many values were read so far; anchors count each time they are used
}

// maxValues bounds what a small file may grow into through its anchors.
const maxValues = 50_000

// place is one key of the tree: its path in words, and where in the file it
// stands. A place that is not written points at the nearest key above it that
// is. Paths go into every fault, because what a person edits is often not the
// file that authgate reads: Helm writes that, and its lines are other lines.
type place struct {
	report *report
	path   string     // upstreams[1].url
	value  *yaml.Node // nil where nothing is written; never an alias
	at     *yaml.Node // where a fault of the value points; nil: at the file as a whole
	above  *yaml.Node // where a fault of something missing beneath points
	hidden bool       // a secret may be written here as a key: no fault repeats one
}

// written reports whether the file holds a value here. A key with nothing behind
// it, or null, counts as not written.
func (p place) written() bool { return p.value != nil }

// key goes one step down into a mapping.
func (p place) key(name string) place {
	down := place{report: p.report, path: p.path + "." + name, at: p.above, above: p.above}
	if p.path == "" {
		down.path = name
	}
	if p.value == nil || p.value.Kind != yaml.MappingNode {
		return down
	}
	for i := 0; i+1 < len(p.value.Content); i += 2 {
		if k := p.value.Content[i]; k.Kind == yaml.ScalarNode && k.Value == name {
			return down.enter(k, p.value.Content[i+1])
		}
	}
	return down
}

// item goes one step down into a list.
func (p place) item(i int) place {
	down := place{report: p.report, path: p.path + "[" + strconv.Itoa(i) + "]", at: p.above, above: p.above}
	if p.value == nil || p.value.Kind != yaml.SequenceNode || i >= len(p.value.Content) {
		return down
	}
	return down.enter(p.value.Content[i], p.value.Content[i])
}

func (p place) enter(above, value *yaml.Node) place {
	p.at, p.above, p.value = value, above, value
	if value.Kind == yaml.AliasNode {
		p.value = value.Alias
	}
	if p.value.Kind == yaml.ScalarNode && p.value.ShortTag() == "!!null" {
		p.at, p.value = above, nil
	}
	return p
}

// fault notes what is wrong with the value here, unless it is already known to
// be broken: a value that could not be read is not also missing.
func (p place) fault(what, mend string) {
	for path := p.path; ; path = parent(path) {
		if p.report.broken[path] {
			return
		}
		if path == "" {
			break
		}
	}
	if p.path != "" {
		what = p.path + ": " + what
	}
	p.report.faults.Add(p.report.position(p.at), what, mend)
}

// refuse is fault for a value that could not be read at all.
func (p place) refuse(what, mend string) {
	p.fault(what, mend)
	p.report.broken[p.path] = true
}

// complaint is a fault that has yet to learn its place. The zero one is none.
type complaint struct{ what, mend string }

func (p place) complain(c complaint) {
	if c.what != "" {
		p.fault(c.what, c.mend)
	}
}

func (r *report) position(at *yaml.Node) fault.Position {
	if at == nil {
		return fault.Position{File: r.file}
	}
	return fault.Position{File: r.file, Line: at.Line, Column: at.Column}
}

// resolve makes a path of the file one that can be opened.
func (r *report) resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.dir, path)
}

func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
