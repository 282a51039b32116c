package yamlfile

import (
	"path/filepath"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
)

// ResolvePath makes a path one that can be opened: relative paths are relative to the
// folder of the file.
func (n Node) ResolvePath(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(n.file.dir, path)
}

// FileRef is a path together with where it is written, so that what is wrong with the content
// of the file can be reported there. An empty Path names no file.
type FileRef struct {
	Path string         `json:"path"`
	At   fault.Position `json:"-"`
	Key  string         `json:"-"` // upstreams[1].icon
}

// Fault is what is wrong with the file.
func (f FileRef) Fault(message, hint string) fault.Fault {
	return fault.Fault{Position: f.At, Message: f.Key + ": " + message, Hint: hint}
}

func (f *FileRef) decode(at Node) {
	if path, ok := at.String("a string", "put it in quotes"); ok {
		at.CheckPath(path)
		*f = FileRef{at.ResolvePath(path), Position(at.file.name, at.faultNode), at.Path}
	}
}

func resolveFiles(at Node, v reflect.Value) {
	if v.Kind() == reflect.String {
		at.CheckPath(v.String())
		v.SetString(at.ResolvePath(v.String()))
		return
	}
	for i := range v.Len() {
		resolveFiles(at.Item(i), v.Index(i))
	}
}

// maxFileName is what file systems allow for one part of a path.
const maxFileName = 255

// cannotBePath reports whether a value is not meant as a path: a URL, a PEM block, several
// lines, a token.
func cannotBePath(path string) bool {
	if strings.ContainsFunc(path, unicode.IsControl) || strings.Contains(path, "://") ||
		strings.Contains(path, "-----") || !utf8.ValidString(path) {
		return true
	}
	for part := range strings.SplitSeq(path, "/") {
		if len(part) > maxFileName {
			return true
		}
	}
	return strings.HasPrefix(path, "eyJ") && strings.Count(path, ".") > 1 // a JWT
}

// CheckPath refuses a value that cannot be a path, without repeating it.
func (n Node) CheckPath(path string) {
	if cannotBePath(path) {
		n.Reject("is not a path ("+text.DescribeLength(path)+", not shown)", "write the path of a file that holds it")
	}
}
