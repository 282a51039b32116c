package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

const redacted = "[redacted]"

// Secret is a value that stands in a file, in an environment variable, or, for
// tests and ids, in the configuration itself. However it is printed it reads
// [redacted]; [Secret.Reveal] is the one way to the value.
type Secret struct {
	from *source
}

type source struct {
	key       string // where in the tree, for errors
	file, env string
	written   string // file, as it stands in the configuration
	// A pointer to a string, because fmt calls no method on what lies in an
	// unexported field of somebody else's struct: what it prints is an address.
	plain *string
}

// IsZero reports whether no secret is configured.
func (s Secret) IsZero() bool { return s.from == nil }

// Source says where the value is, for logs and errors.
func (s Secret) Source() string {
	switch {
	case s.from == nil:
		return "nowhere"
	case s.from.file != "":
		return shownFile(s.from.written, s.from.file)
	case s.from.env != "":
		return shownVariable(s.from.env)
	default:
		return "the configuration"
	}
}

// File is where the value is, if that is a file: it may be replaced while authgate
// runs. Else it is empty.
func (s Secret) File() string {
	if s.from == nil {
		return ""
	}
	return s.from.file
}

// Reveal reads the value now, so that a file that was replaced is seen at the
// next call. Line ends at the end of a file are not part of it; an empty value
// is an error. The error names the key and the source and nothing of the value;
// errors.Is(err, fs.ErrNotExist) tells a file or a variable that is not there.
func (s Secret) Reveal() (string, error) {
	if s.from == nil {
		return "", errors.New("no secret is configured")
	}
	var value string
	switch {
	case s.from.plain != nil:
		value = *s.from.plain
	case s.from.file != "":
		data, err := os.ReadFile(s.from.file)
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w", s.from.key, s.Source(), withoutPath(err))
		}
		value = strings.TrimRight(string(data), "\r\n")
	case s.from.env != "":
		var set bool
		if value, set = os.LookupEnv(s.from.env); !set {
			return "", fmt.Errorf("%s: %w", s.from.key, unset(s.Source()+" is not set"+nameNotValue(s.from.env)))
		}
		value = strings.TrimRight(value, "\r\n") // as of a file
	}
	if strings.TrimSpace(value) == "" {
		return "", fmt.Errorf("%s: %s holds nothing", s.from.key, s.Source())
	}
	if holdsControl(s.from.key, value) {
		return "", fmt.Errorf("%s: %s %s; write the value alone, on one line", s.from.key, s.Source(), hasControl)
	}
	return value, nil
}

// sessionKeys is the one secret of several lines.
const sessionKeys = "session.keys"

const hasControl = "holds a control character, such as a line end, inside of the value"

// holdsControl reports whether a secret holds what is no part of any: sent on, it
// would be another one than its issuer knows.
func holdsControl(key, value string) bool {
	return strings.ContainsFunc(value, func(r rune) bool {
		return (unicode.IsControl(r) || r == '\ufeff') && (key != sessionKeys || r != '\n' && r != '\r')
	})
}

// unset is a variable that is not there, and to errors.Is what a missing file is.
type unset string

func (u unset) Error() string   { return string(u) }
func (unset) Is(err error) bool { return err == fs.ErrNotExist }

// withoutPath keeps "no such file or directory" of an error whose path is told
// already.
func withoutPath(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// Format prints [redacted] for every verb: %d and %x would reach around String.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) MarshalYAML() (any, error)    { return redacted, nil }

// readSecret takes {file: PATH}, {env: NAME} or a plain string, of which the
// empty one is no secret.
func readSecret(at place) Secret {
	const forms = "write {file: PATH}, {env: NAME} or a string in quotes"
	if at.value.Kind != yaml.MappingNode {
		plain, ok := at.text("a secret", forms) // no fault repeats what it found
		switch {
		case !ok, plain == "":
			return Secret{}
		case holdsControl(at.path, plain):
			at.refuse(hasControl, "write the value alone, on one line")
			return Secret{}
		default:
			return Secret{&source{key: at.path, plain: &plain}}
		}
	}
	at.hidden = true // what stands in the place of file or env may be the secret itself
	found := source{key: at.path}
	for name, value := range at.pairs() {
		var into *string
		switch name {
		case "file":
			into = &found.file
		case "env":
			into = &found.env
		default:
			at.unknown(value.above, []string{"file", "env"})
			at.report.broken[at.path] = true
			continue
		}
		if !value.written() { // a null in a Helm overlay takes the chart's own form away
			continue
		}
		var ok bool
		*into, ok = value.text("a string", "put it in quotes")
		switch {
		case ok && *into == "":
			value.refuse("is empty", forms)
		case ok && name == "file" && notPath(*into):
			value.refusePath(*into)
		}
		if !ok || *into == "" {
			at.report.broken[at.path] = true
		}
	}
	found.written, found.file = found.file, at.report.resolve(found.file)
	switch {
	case found.file != "" && found.env != "":
		at.refuse("has both a file and an environment variable", "keep one of them")
	case found.file == "" && found.env == "":
		at.refuse("names no source", forms)
	case strings.ContainsAny(found.env, "=\x00"):
		at.refuse("is not the name of an environment variable", "write {env: NAME}")
	}
	return Secret{&found}
}
