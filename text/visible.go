package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckVisible refuses what no name and no path holds and no editor shows: control
// characters except the tab, unusual spaces, and marks that change the writing direction.
// Joiners pass, because some scripts need them. It says what is wrong with the value, how
// to fix it, and at which byte; the message is empty where all is visible.
func CheckVisible(value, s string) (at int, message, hint string) {
	for i, r := range s {
		switch {
		case ' ' <= r && r <= '~' || r == '\t' || r == '\u200c' || r == '\u200d':
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			return i, value + " is not valid UTF-8", "save the file as UTF-8"
		case r == '\r':
			return i, value + " holds a carriage return (CR)", "end each line with LF alone"
		case unicode.IsControl(r) || unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Z):
			return i, fmt.Sprintf("%s holds the invisible character %U", value, r), "remove it"
		}
	}
	return 0, "", ""
}
