package policy_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
)

func TestTheCanonicalForm(t *testing.T) {
	t.Parallel()
	const row = "p, role:viewer, argocd, /, GET, allow\n"
	for _, c := range []struct {
		name, text, want string
		changed          []int
	}{
		{"in form", "# Who.\n\n" + row, "# Who.\n\n" + row, nil},
		{"no line end at the end", "p, role:viewer, argocd, /, GET, allow", row, []int{1}},
		{"no spaces", "p,role:viewer,argocd,/,GET,allow\n", row, []int{1}},
		{"aligned columns", "p, role:viewer,   argocd, /,\tGET, allow\n", row, []int{1}},
		{"indented and trailing", "\t p, role:viewer, argocd, /, GET, allow \t\n", row, []int{1}},
		{"spaces before commas", "p , role:viewer\t, argocd, / ,GET, allow\n", row, []int{1}},
		{"a tab before a comma", "p, role:viewer\t, argocd, /, GET, allow\n", row, []int{1}},
		{"a space between quote and comma", `p, "role:viewer" , argocd, /, GET, allow` + "\n", row, []int{1}},
		{"quotes for nothing", `"p", "role:viewer", argocd, "/", GET, "allow"` + "\n", row, []int{1}},
		{
			"quotes for something", `p, "a ,""b"" ", *, "/x,y", GET, deny` + "\n",
			`p, "a ,""b"" ", *, "/x,y", GET, deny` + "\n", nil,
		},
		{
			"a quoted space before a comma", `p, "a ""b"" ,c", *, /, GET , deny` + "\n",
			`p, "a ""b"" ,c", *, /, GET, deny` + "\n",
			[]int{1},
		},
		{"a quoted #", `p, "a #b", *, /, GET, deny` + "\n", `p, "a #b", *, /, GET, deny` + "\n", nil},
		{"byte order mark", "\ufeff" + row, row, []int{1}},
		{"byte order mark alone on its line", "\ufeff\n" + row, row, []int{1}},
		{"Windows line ends", strings.ReplaceAll("# a\n\n"+row, "\n", "\r\n"), "# a\n\n" + row, []int{1, 2, 3}},
		{
			"an address in capitals", "p, user:Eve@Example.com, argocd, /, GET, allow\ng, user:Bob@x.y, role:z\n",
			"p, user:eve@example.com, argocd, /, GET, allow\ng, user:bob@x.y, role:z\n",
			[]int{1, 2},
		},
		{
			"methods as they were put", "p, role:viewer, argocd, /, PUT|GET, allow\n",
			"p, role:viewer, argocd, /, PUT|GET, allow\n", nil,
		},
		{
			"rows as they were put", "p, b, *, /, GET, allow\ng, z, role:a\np, a, *, /, GET, deny\ng, y, role:a\n",
			"p, b, *, /, GET, allow\ng, z, role:a\np, a, *, /, GET, deny\ng, y, role:a\n", nil,
		},
		{
			"a comment in its own words", "  #  p ,  role:x ,,  \"  \n#\n" + row,
			"#  p ,  role:x ,,  \"\n#\n" + row,
			[]int{1},
		},
		{"many empty lines", "\n \n" + row + "\n\n\t\n# b\n\n\n", row + "\n# b\n", []int{1, 2, 5, 6, 8, 9}},
		{"an empty line with a space", row + " \n# b\n", row + "\n# b\n", []int{2}},
		{"roles of another file", "g, example-org:dev, role:elsewhere\n", "g, example-org:dev, role:elsewhere\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, changed, err := policy.Format(policy.Source{Name: "policy.csv", Data: []byte(c.text)})
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
			if !slices.Equal(changed, c.changed) {
				t.Errorf("changed lines %v, want %v", changed, c.changed)
			}
		})
	}
}

func TestAFaultThatFormattingCannotFixIsReported(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"in its own column", "p, role:viewer , argocd, /**, GET , alow", `policy.csv:1:37: effect "alow" is not known; write "allow"`},
		{"an empty field", "p, , argocd, /**, GET, allow", `policy.csv:1:4: subject is empty; write "p, subject, upstream, path, method, effect", several methods as GET|POST`},
		{
			"all of them", "p,role:viewer,argocd,x,GET,allow\nq, a, b\n",
			`policy.csv:1:22: path "x" does not begin with /; write "/x"` + "\n" +
				`policy.csv:2:1: row kind "q" is not known; begin the line with p or g, or with # for a comment`,
		},
		{"a comment after a row", sound[:len(sound)-1] + " # x\n", "policy.csv:1:41: a comment follows the row; give it a line of its own, or quote the field"},
		{"a carriage return in a comment", sound + "# a\rb\r\n", "policy.csv:2:4: the line holds a carriage return (CR); end each line with LF alone"},
		{"twice the same row", sound + "p,role:viewer,argocd,/**,GET,allow\n", "policy.csv:2:1: duplicate of the row at policy.csv:1; delete one of the two"},
		{"no rows", "# nothing\n", "policy.csv: the policy has no rows; add p and g rows; an empty file is most often a failed write"},
		{"no lines", "", "policy.csv: the policy has no rows; add p and g rows; an empty file is most often a failed write"},
		{"UTF-16", "\xff\xfep\x00", "policy.csv:1:1: the file is UTF-16; save it as UTF-8 without BOM"},
		{"a tab in quotes", "p, \"a\tb\", argocd, /**, GET, allow", "policy.csv:1:1: a name holds a tab; take it out"},
		{
			"a line that would be too long", "p," + strings.Repeat("x", 64<<10-len("p,,u,/,GET,deny")) + ",u,/,GET,deny",
			"policy.csv:1:1: the line would be longer than 65536 bytes; make several rows of it",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text, changed, err := policy.Format(policy.Source{Name: "policy.csv", Data: []byte(c.text)})
			if err == nil || err.Error() != c.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, c.want)
			}
			if text != nil || changed != nil {
				t.Errorf("and yet it gave %q, %v", text, changed)
			}
		})
	}
}

// FuzzFormat holds the form to its promise: formatting once is enough, a policy
// means what it meant, in the same order, and no comment is lost.
func FuzzFormat(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, seed := range []string{
		policytest.Example, policytest.EverySubject, "\ufeff" + strings.ReplaceAll(policytest.Example, "\n", "\r\n"), strings.ReplaceAll(policytest.Example, ",", "\t, "),
		"\n\n# a\n\n\np,\"a \",u , \"/\" , GET,deny \n\n#b", "p, \"a,\"\"b\"\" ,#c\" , *, \"/x,y\", GET|PUT, deny\n",
		"p,user:A@b,*,/,GET,allow\r\ng,user:A@B,role:x\r\n\r\n\t\r\n#\r", "p, \" \"\"\", u, /, GET, deny", ", ,", "p, a\t,",
		policytest.RandomPolicy(r), policytest.RandomPolicy(r),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4<<10 {
			return
		}
		text, changed, err := policy.Format(policy.Source{Name: "policy.csv", Data: data})
		unix := strings.TrimPrefix(strings.ReplaceAll(string(data), "\r\n", "\n"), "\ufeff")
		before, loading := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(unix)}}, nil)
		if err != nil {
			if loading == nil && !bytes.Contains(data, []byte("\t")) {
				t.Errorf("loads, and is not formatted: %v", err)
			}
			return
		}
		if (len(changed) == 0) != bytes.Equal(text, data) {
			t.Errorf("changed lines are %v", changed)
		}
		again, changed, err := policy.Format(policy.Source{Name: "policy.csv", Data: text})
		if err != nil || !bytes.Equal(again, text) || len(changed) > 0 {
			t.Errorf("formatted again, %v, at %v:\n%q\nthen\n%q", err, changed, text, again)
		}
		if was, is := commentsOf(data), commentsOf(text); !slices.Equal(was, is) {
			t.Errorf("comments were %q and are %q", was, is)
		}
		if loading != nil {
			return
		}
		if was, is := spelled(before), spelled(policytest.Load(t, string(text))); was != is {
			t.Errorf("rows were\n%s\nand are\n%s", was, is)
		}
	})
}

// commentsOf gives the comments of a policy file as its bytes have them.
func commentsOf(data []byte) []string {
	found := []string{}
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		line = strings.Trim(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), " \t")
		if strings.HasPrefix(line, "#") {
			found = append(found, line)
		}
	}
	return found
}

// spelled is all that a policy says: its rows, field by field, and who holds what.
func spelled(s *policy.Snapshot) string {
	var b strings.Builder
	for _, r := range s.Rows() {
		fmt.Fprintf(&b, "%q %q %q %q %v\n", r.Subject, r.Upstream, r.Path, r.Methods, r.Effect)
	}
	for _, g := range s.Grants() {
		fmt.Fprintf(&b, "%q %q\n", g.Member, g.Role)
	}
	return b.String()
}
