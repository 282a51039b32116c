package config

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/example-org/authgate/text"
)

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
