package explain

import (
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// Edit is one small change, of the question, of the person or of the policy,
// after which the answer is the other one. It was tried before it is reported.
type Edit struct {
	Kind EditKind
	Text string // what to do, for people

	Method  string      // to ask with instead
	Path    target.Path // to ask for instead
	Subject string      // a group or role, to be joined or left
	Remove  []Removal   // rows of the policy to take away
	Add     []string    // rows to add, as they stand in a file

	Decision policy.Decision // the answer then; Rule is nil where an added row decides or none does
}

// Removal is a row to take away, p or g.
type Removal struct {
	Where string // policy.csv:3
	Row   string
}

// EditKind says what an edit is about.
type EditKind string

// The kinds of edits.
const (
	EditMethod EditKind = "method" // another method
	EditPath   EditKind = "path"   // another path
	EditLogin  EditKind = "login"  // a signed-in user instead of an anonymous one
	EditJoin   EditKind = "join"   // one more group or role
	EditLeave  EditKind = "leave"  // without one of the person's groups or roles
	EditAdd    EditKind = "add"
	EditRemove EditKind = "remove" // all of Remove; and Add, where that alone does not do
	EditWiden  EditKind = "widen"  // Remove is the row as it is, Add as it would be
)
