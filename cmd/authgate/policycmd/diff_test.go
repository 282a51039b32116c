package policycmd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
)

func TestALongDiffFitsIntoAComment(t *testing.T) {
	t.Parallel()
	text := "p, role:admin, *, /**, *, allow\n"
	var more strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&more, "p, role:r%d, u, /api/v1/some/longer/path/%d/**, GET|POST, allow\n", i, i)
	}
	c := comparedTexts(t, text, text+more.String())
	comment := c.markdown()
	const most = 65_536
	if len(comment) > most {
		t.Errorf("the comment has %d bytes and GitHub takes %d", len(comment), most)
	}
	if len(comment) < most/2 {
		t.Errorf("the comment has %d bytes only", len(comment))
	}
	for _, want := range []string{"### Policy: 2000 granted, 0 revoked", "<details>", "</details>", "further rows; `authgate policy diff` lists them"} {
		if !strings.Contains(comment, want) {
			t.Errorf("the comment lacks %q", want)
		}
	}
	shown := strings.Count(comment, "| `u` |")
	if !strings.Contains(comment, fmt.Sprintf("no room for %d further rows", 2000-shown)) {
		t.Errorf("the comment shows %d rows of 2000 and ends in %s", shown, comment[len(comment)-200:])
	}
}

func TestNothingInACommentIsMarkdownOfItsOwn(t *testing.T) {
	t.Parallel()
	text := "p, role:admin, *, /**, *, allow\n"
	c := comparedTexts(t, text, text+"p, a`b``@org:smile:*, u, /*_x_*, GET|PUT, allow\n")
	comment := c.markdown()
	for _, want := range []string{"``` a`b``@org:smile:* ```", "`GET\\|PUT` `/*_x_*`"} {
		if !strings.Contains(comment, want) {
			t.Errorf("the comment lacks %s:\n%s", want, comment)
		}
	}
	for line := range strings.Lines(comment) {
		if bars := strings.Count(line, "|") - strings.Count(line, `\|`); bars != 0 && bars != 5 {
			t.Errorf("a row of 4 cells has %d bars: %s", bars, line)
		}
	}
}

func comparedTexts(t *testing.T, before, after string) comparison {
	t.Helper()
	var loaded [2]*policy.Snapshot
	for i, text := range []string{before, after} {
		var err error
		if loaded[i], err = policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(text)}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	diff, err := compare.Policies(loaded[0], loaded[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	return comparison{diff, loaded[0], loaded[1]}
}
