// Package cases tests a policy against expected decisions in a YAML or CSV file, and
// reports which rows the cases cover.
package cases

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// Case is one expectation of a policy: whether a user may use a method on a
// target.
type Case struct {
	Name     string          // that the file gives to this and the cases around it, or empty
	Subjects []string        // who asks, as subjects of a policy; several are one person
	Identity policy.Identity // the same
	Method   string
	Target   string      // as it is written
	Upstream string      // empty where a refused path leaves it open
	Path     target.Path // zero where it is refused
	Refused  error       // why authgate refuses the path before any policy is asked
	Bypass   error       // why authgate answers without asking the policy; such a case fails
	Expect   policy.Effect
	Rule     string // the row that is to decide, as it reads or as FILE:LINE; empty: not given

	// Of an invariant, there is a case for each request (Pattern is set) and a case for
	// each of its subjects (AnyOf is set).
	Only    []string // the subjects whose holders alone may make the request
	Pattern string   // of the paths of the request
	AnyOf   []Case   // of these requests, the subject may make at least one

	at fault.Position
}

// File names the file in which the case stands.
func (c Case) File() string { return c.at.File }

// Line is the line on which the case stands.
func (c Case) Line() int { return c.at.Line }

// Where names the case as people look for it: cases.yaml:7.
func (c Case) Where() string { return c.at.FileLine() }

// SubjectList shows who asks as a table of cases has it.
func (c Case) SubjectList() string { return strings.Join(c.Subjects, subjectSeparator) }

// ResolveTarget tells which upstream and which path a target of a case means. An error
// that is a [target.Refusal] stands for a path that authgate refuses, which a case
// may expect, and an [BypassError] one for a path that no row decides; every other one is
// a mistake in the case.
type ResolveTarget func(name string) (upstream string, path target.Path, err error)

// BypassError says why authgate answers a request without asking the policy.
type BypassError string

// Error gives the reason.
func (u BypassError) Error() string { return string(u) }

const (
	// Both are far above what a person or a script writes. They keep a wrong file
	// name, and anchors that repeat each other, from filling the memory.
	maxCaseBytes = 16 << 20
	maxCases     = 100_000

	subjectSeparator = " + " // a + alone may be in an e-mail address, a space in a group
)

// Read reads case files: YAML or tables, as the ends of their names say. The
// error is [fault.Faults] with all that is wrong in any of them.
//
// YAML tells for one person at a time what is allowed and what is denied:
//
//	cases:
//	  - name: viewers look and touch nothing    # optional
//	    who: [example-org:dev, user:eve@example.com]
//	    allow:
//	      - GET argocd:/api/v1/applications
//	      - request: GET argocd:/api/v1/projects
//	        rule: p, role:viewer, argocd, /api/v1/**, GET, allow
//	    deny:
//	      - POST argocd:/api/v1/applications/web/sync
//
// A table is CSV, as strict as a policy, with a header and one case a line:
//
//	who, method, target, expect, rule
//	example-org:dev + user:eve@example.com, GET, argocd:/api/v1/applications, allow
//
// An invariant holds for all subjects of the policy. Its requests may be patterns:
//
//	cases:
//	  - name: only admins change anything
//	    only: [role:admin]
//	    allow: ["* argocd:/api/v1/projects/**"]
//
// The user is given by subjects as in a policy. A rule is optional: the row that is
// to decide, as it reads in the policy or, where its line will not move, as
// FILE:LINE. A table that names none can do without the column.
func Read(sources []policy.Source, resolve ResolveTarget) ([]Case, error) {
	r := &caseReader{resolve: resolve}
	for _, src := range sources {
		r.file, r.first = src.Name, map[string]fault.Position{}
		switch extension := strings.ToLower(filepath.Ext(src.Name)); {
		case extension != ".yaml" && extension != ".yml" && extension != ".csv":
			r.faults.Add(r.filePosition(), "the name of a case file ends in .yaml, .yml or .csv", "rename the file")
		case len(src.Data) > maxCaseBytes:
			r.faults.Add(r.filePosition(), "the file is larger than 16 MiB", "is it a case file?")
		case extension == ".csv":
			r.parseTable(src.Data)
		default:
			r.parseYAML(src.Data)
		}
	}
	if err := r.faults.Err(); err != nil {
		return nil, err
	}
	return r.cases, nil
}

// caseReader gathers the cases and the faults of files that it reads one after
// the other.
type caseReader struct {
	resolve ResolveTarget
	file    string                    // that is read
	first   map[string]fault.Position // question → where the file asked it first
	cases   []Case
	full    bool // there are more than there may be
	faults  fault.List
}

func (r *caseReader) filePosition() fault.Position { return fault.Position{File: r.file} }

func (r *caseReader) addFault(f policy.Field, message, hint string) bool {
	r.faults.Add(f.At, message, hint)
	return false
}

// parseSubjects reads who asks. Subjects mean here what they mean in a policy, so that
// there is one way to write them.
func (r *caseReader) parseSubjects(subjects []policy.Field) (c Case, ok bool) {
	ok = true
	seen := lastIndexes(subjects)
	for i, f := range subjects {
		name := policy.CanonicalSubject(f.Text)
		message, hint := checkCaseSubject(name)
		switch {
		case message != "":
		case seen[name] != i:
			message, hint = text.Quote(f.Text)+" is named twice", "name it once"
		case name == policy.Anonymous && len(subjects) > 1:
			message, hint = "system:anonymous cannot be combined with other subjects", "give it a case of its own"
		case name == policy.Authenticated && len(subjects) > 1:
			message, hint = "system:authenticated is redundant with other subjects",
				"leave it out: every user with a group or an e-mail address holds it"
		case policy.ParseSubject(name).Kind == policy.KindUser && c.Identity.Email != "":
			message, hint = "a user has one e-mail address, and this is a second one", "give each user a case"
		}
		if message != "" {
			ok = r.addFault(f, message, hint)
			continue
		}
		identity := policy.IdentityOf(name)
		c.Subjects = append(c.Subjects, name)
		c.Identity.Anonymous = identity.Anonymous
		c.Identity.Email += identity.Email
		c.Identity.Groups = append(c.Identity.Groups, identity.Groups...)
		c.Identity.Roles = append(c.Identity.Roles, identity.Roles...)
	}
	return c, ok
}

// lastIndexes gives where each subject was named last.
func lastIndexes(named []policy.Field) map[string]int {
	last := make(map[string]int, len(named))
	for i, f := range named {
		last[policy.CanonicalSubject(f.Text)] = i
	}
	return last
}

func checkCaseSubject(name string) (message, hint string) {
	switch {
	case name == "":
		return "a subject is empty", "write a group, role:NAME, user:EMAIL or system:anonymous"
	case strings.Trim(name, policy.Whitespace) != name:
		return text.Quote(name) + " has a space at an end", "write " + text.Quote(strings.Trim(name, policy.Whitespace))
	case name == "anonymous" || name == "authenticated":
		return text.Quote(name) + " is a group like any other here", "write " + text.Quote(policy.SystemPrefix+name)
	}
	return policy.CheckSubject(name)
}

// resolveRequest reads what a person asks for, and keeps the case unless something is wrong
// with it.
func (r *caseReader) resolveRequest(c Case, method, name policy.Field) (Case, bool) {
	ok := true
	switch {
	case policy.IsMethod(method.Text):
	case policy.IsMethod(strings.ToUpper(method.Text)):
		ok = r.addFault(method, "method "+text.Quote(method.Text)+" is not in upper case",
			"write "+strings.ToUpper(method.Text))
	default:
		ok = r.addFault(method, text.Quote(method.Text)+" is not a method", "write one, such as GET")
	}
	c.Method, c.Target, c.at = method.Text, name.Text, method.At
	upstream, path, err := r.resolve(name.Text)
	var refusal target.Refusal
	var bypass BypassError
	switch {
	case errors.As(err, &bypass):
		c.Upstream, c.Bypass = upstream, bypass
	case err == nil:
		c.Upstream, c.Path = upstream, path
	case errors.As(err, &refusal):
		c.Upstream, c.Refused = upstream, refusal
	default:
		ok = r.addFault(name, err.Error(), "")
	}
	return c, ok
}

// addUnique adds a case, unless its file has asked the same before: two answers to one
// question are a slip of the hand, and one of them is not looked at.
func (r *caseReader) addUnique(c Case) {
	shownTarget := c.Target
	if c.Refused == nil && c.Bypass == nil {
		shownTarget = c.Upstream + ":" + c.Path.String()
	}
	key := strings.Join(append(c.Subjects[:len(c.Subjects):len(c.Subjects)], c.Method, shownTarget), "\x00")
	if first, seen := r.first[key]; seen {
		r.faults.Add(c.at, "the same is asked at "+first.FileLine(), "delete one of the two")
		return
	}
	r.first[key] = c.at
	r.add(c)
}

func (r *caseReader) add(c Case) {
	if len(r.cases) == maxCases {
		r.full = true
		r.faults.Add(c.at, "this is the case after the 100000th",
			"run the files in several turns, or use fewer anchors")
		return
	}
	r.cases = append(r.cases, c)
}
