package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"unicode"

	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

const redacted = "[redacted]"

// Secret is a value that stands in a file, in an environment variable, or, for
// tests and ids, in the configuration itself. However it is printed it reads
// [redacted]; [Secret.Reveal] is the one way to the value.
type Secret struct {
	source *source
}

type source struct {
	key        string // where in the tree, for errors
	file, env  string
	configured string // file, as it stands in the configuration
	// A pointer to a string, because fmt calls no method on what lies in an
	// unexported field of another package's struct: what it prints is an address.
	inline *string
}

// IsZero reports whether no secret is configured.
func (s Secret) IsZero() bool { return s.source == nil }

// Source says where the value is, for logs and errors.
func (s Secret) Source() string {
	switch {
	case s.source == nil:
		return "nowhere"
	case s.source.file != "":
		return describeFile(s.source.configured, s.source.file)
	case s.source.env != "":
		return describeVariable(s.source.env)
	default:
		return "the configuration"
	}
}

// File is where the value is, if that is a file: it may be replaced while authgate
// runs. Else it is empty.
func (s Secret) File() string {
	if s.source == nil {
		return ""
	}
	return s.source.file
}

// Reveal reads the value now, so that a file that was replaced is seen at the
// next call. Line ends at the end of a file are not part of it; an empty value
// is an error. The error names the key and the source and nothing of the value;
// errors.Is(err, fs.ErrNotExist) tells a file or a variable that is not there.
func (s Secret) Reveal() (string, error) {
	if s.source == nil {
		return "", errors.New("no secret is configured")
	}
	var value string
	switch {
	case s.source.inline != nil:
		value = *s.source.inline
	case s.source.file != "":
		data, err := os.ReadFile(s.source.file)
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w", s.source.key, s.Source(), text.WithoutPath(err))
		}
		value = strings.TrimRight(string(data), "\r\n")
	case s.source.env != "":
		var set bool
		if value, set = os.LookupEnv(s.source.env); !set {
			return "", fmt.Errorf("%s: %w", s.source.key,
				unsetVariableError(s.Source()+" is not set"+variableNameHint(s.source.env)))
		}
		value = strings.TrimRight(value, "\r\n") // as of a file
	}
	if strings.TrimSpace(value) == "" {
		return "", fmt.Errorf("%s: %s holds nothing", s.source.key, s.Source())
	}
	if hasControlChar(s.source.key, value) {
		return "", fmt.Errorf("%s: %s %s; write the value alone, on one line", s.source.key, s.Source(),
			controlCharMessage)
	}
	return value, nil
}

// sessionKeys is the one secret of several lines.
const sessionKeys = "session.keys"

const controlCharMessage = "holds a control character, such as a line end, inside of the value"

// hasControlChar reports whether a secret holds what is no part of any: sent on, it
// would be another one than its issuer knows.
func hasControlChar(key, value string) bool {
	return strings.ContainsFunc(value, func(r rune) bool {
		return (unicode.IsControl(r) || r == '\ufeff') && (key != sessionKeys || r != '\n' && r != '\r')
	})
}

// unsetVariableError is a variable that is not there, and to errors.Is what a missing file is.
type unsetVariableError string

func (u unsetVariableError) Error() string   { return string(u) }
func (unsetVariableError) Is(err error) bool { return err == fs.ErrNotExist }

// Format prints [redacted] for every verb: %d and %x would reach around String.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) MarshalYAML() (any, error)    { return redacted, nil }

// decodeSecret takes {file: PATH}, {env: NAME} or a plain string, of which the
// empty one is no secret.
func decodeSecret(at yamlfile.Node) Secret {
	const hint = "write {file: PATH}, {env: NAME} or a string in quotes"
	if !at.IsMapping() {
		plain, ok := at.String("a secret", hint) // no fault repeats what it found
		switch {
		case !ok, plain == "":
			return Secret{}
		case hasControlChar(at.Path, plain):
			at.Reject(controlCharMessage, "write the value alone, on one line")
			return Secret{}
		default:
			return Secret{&source{key: at.Path, inline: &plain}}
		}
	}
	at = at.HideKeys() // a key other than file and env may be the secret itself
	found := source{key: at.Path}
	for name, value := range at.Entries() {
		var into *string
		switch name {
		case "file":
			into = &found.file
		case "env":
			into = &found.env
		default:
			at.RejectUnknownKey(value, []string{"file", "env"})
			at.Invalidate()
			continue
		}
		if !value.IsSet() { // a null in a Helm overlay takes the chart's own form away
			continue
		}
		var ok bool
		*into, ok = value.String("a string", "put it in quotes")
		switch {
		case ok && *into == "":
			value.Reject("is empty", hint)
		case ok && name == "file":
			value.CheckPath(*into)
		}
		if !ok || *into == "" {
			at.Invalidate()
		}
	}
	found.configured, found.file = found.file, at.ResolvePath(found.file)
	switch {
	case found.file != "" && found.env != "":
		at.Reject("has both a file and an environment variable", "keep one of them")
	case found.file == "" && found.env == "":
		at.Reject("names no source", hint)
	case strings.ContainsAny(found.env, "=\x00"):
		at.Reject("is not the name of an environment variable", "write {env: NAME}")
	}
	return Secret{&found}
}

// People paste a secret where its name or its path belongs. Errors and logs name
// the source of a secret, so they show only what cannot be the secret itself.

var (
	variableName = regexp.MustCompile(`^[A-Z0-9_]+$`)
	hexDigits    = regexp.MustCompile(`^[0-9A-Fa-f-]+$`)
)

// describeVariable names an environment variable, or tells how long its name is.
func describeVariable(name string) string {
	if variableName.MatchString(name) {
		return "environment variable " + name
	}
	return "environment variable (a name of " + text.DescribeLength(name) + ", not shown)"
}

// variableNameHint explains why a name is not shown.
func variableNameHint(name string) string {
	if variableName.MatchString(name) {
		return ""
	}
	return "; write the name of a variable in capitals, such as {env: AUTHGATE_SECRET}, and not its value"
}

// describeFile names a file, or tells how long a path is that looks like a secret.
func describeFile(written, file string) string {
	if looksLikeSecret(written) {
		return "file (a path of " + text.DescribeLength(written) +
			", not shown: it looks like the secret itself; write {file: PATH})"
	}
	return "file " + file
}

// minSecretLength is the length from which on a part of a path may be a secret.
const minSecretLength = 16

// looksLikeSecret reports whether what was written as a path may well be a key in
// base64 or hex. Absolute paths and those that begin with a dot were meant as paths.
func looksLikeSecret(path string) bool {
	if strings.HasPrefix(path, "/") || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../") {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if len(part) >= minSecretLength && looksLikeToken(part) {
			return true
		}
	}
	return false
}

// looksLikeToken reports whether a word mixes digits and letters as keys and tokens do.
func looksLikeToken(word string) bool {
	digit, upper, lower := strings.ContainsFunc(word, unicode.IsDigit), strings.ContainsFunc(word, unicode.IsUpper),
		strings.ContainsFunc(word, unicode.IsLower)
	switch {
	case strings.ContainsAny(word, "=+"):
		return true
	case hexDigits.MatchString(word):
		return digit
	default:
		return digit && upper && lower
	}
}
