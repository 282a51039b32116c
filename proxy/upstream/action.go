package upstream

import (
	_ "embed"
	"strings"

	"github.com/example-org/authgate/target"
)

//go:embed actions.csv
var actionTable string

// action is what some requests to a kind of dashboard do, in the words of a user.
type action struct {
	methods string // joined by |, or *
	path    string // pattern
	text    string // key of the text, below "action"
}

// Action is the key of the text that says what a request would do: "sync an application".
// Requests that the table does not have open, change or delete something.
func (u *Upstream) Action(method string, path target.Path) string {
	for line := range strings.Lines(actionTable) {
		kindName, a := parseAction(line)
		if kindName == u.Options.Kind && a.matches(method, strings.TrimSuffix(u.Path, "/"), path) {
			return "action." + a.text
		}
	}
	switch method {
	case "GET", "HEAD":
		return "action.open"
	case "DELETE":
		return "action.delete"
	default:
		return "action.change"
	}
}

// parseAction reads a line of the table; of comments, the name of the kind is empty.
func parseAction(line string) (kindName string, a action) {
	fields := strings.Split(strings.TrimSpace(line), ", ")
	if strings.HasPrefix(line, "#") || len(fields) != 4 {
		return "", action{}
	}
	return fields[0], action{methods: fields[1], path: fields[2], text: fields[3]}
}

// matches compares a request with a line of the table; prefix is the path of the upstream.
func (a action) matches(method, prefix string, path target.Path) bool {
	if method == "HEAD" {
		method = "GET"
	}
	if a.methods != "*" && !strings.Contains("|"+a.methods+"|", "|"+method+"|") {
		return false
	}
	return target.MatchPattern(path.String(), prefix+a.path)
}

// Product is the dashboard's own name; empty: it is not one that authgate knows.
func (u *Upstream) Product() string { return u.kind.product }
