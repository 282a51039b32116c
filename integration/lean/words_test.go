package lean

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// removed are words that the project used for ideas that have a standard term. A
// reader who knows the field does not know them. Each has its replacement.
var removed = map[string]string{
	"mend":      "fix",
	"mends":     "fixes",
	"mended":    "fixed",
	"nobody":    "unauthenticated, anonymous, no one",
	"somebody":  "a user, a client",
	"anybody":   "any user, any client",
	"everybody": "every user, everyone",
	"whoever":   "the user who, clients that",
	"anew":      "again",
	"believed":  "trusted",
	"incognito": "anonymous",
	"census":    "subject classes",
	"atlas":     "prefix index",
	"owed":      "pending",
	"likewise":  "also",
	"beside":    "next to, in addition to",
	"shall":     "must",
	"hitherto":  "so far",
}

// removedPhrases are several words that stand for one term.
var removedPhrases = map[string]string{
	"as whom":       "under which identity",
	"not to be had": "unavailable",
	"speaks of":     "mentions",
	"of then":       "at that time",
}

// allowed are the places that may use them: this list, and the one for operators
// who adapt their programs.
var allowed = map[string]bool{
	"integration/lean/words_test.go": true,
	"CHANGELOG.md":                   true,
	"LICENSE":                        true,
}

// textFiles are the kinds of files that people read.
var textFiles = map[string]bool{
	".go": true, ".md": true, ".yaml": true, ".yml": true, ".html": true, ".css": true, ".js": true, ".csv": true,
	".tpl": true, ".txt": true, ".txtar": true, ".json": true, ".lua": true, ".golden": true, ".sh": true,
}

var word = regexp.MustCompile(`[A-Za-z]+`)

// findingNames are names of lint findings that operators use in their tools.
var findingNames = regexp.MustCompile(`deny-for-everybody|everybody-may-[a-z]+-[a-z]+|denyForEverybody|everybodyMay\w+`)

func TestRemovedWordsStayRemoved(t *testing.T) {
	t.Parallel()
	files := 0
	for _, file := range tracked(t) {
		if allowed[file] || !textFiles[filepath.Ext(file)] {
			continue
		}
		files++
		number := 0
		for line := range strings.Lines(read(t, file)) {
			number++
			for was, use := range removedIn(line) {
				t.Errorf("%s:%d: %q is a removed word; write %s", file, number, was, use)
			}
		}
	}
	if files < 500 {
		t.Errorf("only %d files were read", files)
	}
}

// removedIn returns the removed words of a line with their replacements. A name such
// as tellNobody counts as its words.
func removedIn(line string) map[string]string {
	found := map[string]string{}
	for _, run := range word.FindAllString(findingNames.ReplaceAllString(line, ""), -1) {
		for _, w := range splitName(run) {
			if use := removed[strings.ToLower(w)]; use != "" {
				found[w] = use
			}
		}
	}
	lower := strings.ToLower(line)
	for phrase, use := range removedPhrases {
		if strings.Contains(lower, phrase) {
			found[phrase] = use
		}
	}
	return found
}

// splitName splits a name into its words: aNewLogin, and HTTPServer.
func splitName(name string) []string {
	var words []string
	start := 0
	for i := 1; i < len(name); i++ {
		upper := unicode.IsUpper(rune(name[i]))
		afterLower := unicode.IsLower(rune(name[i-1]))
		beforeLower := i+1 < len(name) && unicode.IsLower(rune(name[i+1]))
		if upper && (afterLower || beforeLower) {
			words = append(words, name[start:i])
			start = i
		}
	}
	return append(words, name[start:])
}

func TestRemovedWordsAreFoundInNamesAndText(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"func refuseNobody() {":                    1,
		"// Whoever asks is told to ask anew.":     2,
		"a request runs as whom it names":          1,
		"res.Body = http.NoBody":                   0,
		"func recommend(marshall string) (err) {":  0,
		"func TestANewTokenIsUsed(t *testing.T) {": 0,
		"func TestALoginBeginsAnew() {":            1,
		"TestNobodyIsSignedOutBesideAlice":         2,
		"the fix is next to the message":           0,
	} {
		if got := removedIn(line); len(got) != want {
			t.Errorf("%q: %v, want %d", line, got, want)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
