package cases

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/pathspace"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// parseInvariant reads an item of cases that says who alone may make some requests.
func (r *caseReader) parseInvariant(item *yaml.Node, keys map[string]*yaml.Node) {
	for _, name := range []string{"who", "deny"} {
		if n := keys[name]; n != nil {
			r.faults.Add(r.position(n), name+" cannot be combined with only",
				"write only: and allow:, or make a case of its own")
			return
		}
	}
	if keys["allow"] == nil {
		r.faults.Add(r.position(item), "the invariant names no request",
			"add allow: with a list such as [POST argocd:/api/v1/**]")
		return
	}
	var base Case
	if name, written := keys["name"]; written {
		f, _ := r.stringValue("name", name)
		base.Name = f.Text
	}
	base.at = r.position(item)
	subjects, ok := r.onlySubjects(r.subjectFields("only", keys["only"]))
	base.Only = subjects
	var requests []Case
	for _, n := range r.list("allow", keys["allow"]) {
		request, valid := r.parsePatternRequest(base, n)
		ok = ok && valid
		requests = append(requests, request)
	}
	if !ok || len(requests) == 0 {
		return
	}
	for _, c := range requests {
		r.add(c)
	}
	for _, subject := range subjects {
		c := base
		c.Subjects, c.Identity, c.AnyOf, c.Expect = []string{subject}, policy.IdentityOf(subject), requests,
			policy.Allow
		var targets []string
		for _, request := range requests {
			targets = append(targets, request.Method+" "+request.Target)
		}
		c.Target = strings.Join(targets, ", ")
		r.add(c)
	}
}

func (r *caseReader) onlySubjects(named []policy.Field) (subjects []string, ok bool) {
	ok = len(named) > 0
	for _, f := range named {
		name := policy.CanonicalSubject(f.Text)
		message, hint := checkCaseSubject(name)
		if message == "" && slices.Contains(subjects, name) {
			message, hint = text.Quote(f.Text)+" is named twice", "name it once"
		}
		if message != "" {
			ok = r.addFault(f, message, hint)
		}
		subjects = append(subjects, name)
	}
	return subjects, ok
}

// parsePatternRequest reads a request whose method and path may be those of a row.
func (r *caseReader) parsePatternRequest(c Case, n *yaml.Node) (Case, bool) {
	method, name, ok := r.splitRequest(n)
	if !ok {
		return c, false
	}
	if message, hint := policy.CheckMethods(method.Text); message != "" {
		ok = r.addFault(method, message, hint)
	}
	c.Method, c.Target, c.Subjects, c.at = method.Text, name.Text, c.Only, method.At
	upstream, path, err := r.resolve(name.Text)
	if err != nil {
		return c, r.addFault(name, err.Error(), "")
	}
	c.Upstream, c.Path, c.Pattern = upstream, path, path.String()
	if message, hint := target.CheckPatternWith(c.Pattern, path.Quirks()); message != "" {
		ok = r.addFault(name, message, hint)
	}
	return c, ok
}

// invariants checks who alone may make some requests. It is complete: users are the
// subjects that they are, and a user who may do something is at least one subject that
// may do it alone, because further subjects only add deny rows.
type invariants struct {
	*policy.Snapshot
	classes *pathspace.SubjectClasses
	graph   policy.RoleGraph
	cache   map[string]permitted // request → who may make it
}

// permitted is the kinds of subjects that may make some request of a pattern, each with
// an example.
type permitted struct {
	byClass map[int]permittedExample
	err     error
}

type permittedExample struct {
	row     *policy.Row
	request string
}

func newInvariants(s *policy.Snapshot, cases []Case) *invariants {
	extra := []string{policy.Anonymous, policy.Authenticated}
	for _, c := range cases {
		extra = append(extra, c.Only...)
	}
	return &invariants{
		s, pathspace.NewSubjectClasses(extra, s), policy.NewRoleGraph(s.Grants()),
		map[string]permitted{},
	}
}

func (v *invariants) run(c Case) Outcome {
	if len(c.AnyOf) > 0 {
		return v.runAnyOf(c)
	}
	o := Outcome{Case: c}
	result := v.permitted(c)
	if result.err != nil {
		o.Failure = result.err.Error()
		return o
	}
	var others []string
	for _, subject := range v.classes.Names {
		e, allowed := result.byClass[v.classes.ClassOf[subject]]
		if !v.HasSubject(subject) && subject != policy.Anonymous && subject != policy.Authenticated {
			continue // it is here because a case names it, and may do what every signed-in user may
		}
		if !allowed || v.holdsAny(subject, c.Only) || v.hasMembers(subject) {
			continue
		}
		if len(others) == 0 {
			o.Decision, o.ExampleRequest = policy.Decision{Effect: policy.Allow, Row: e.row}, e.request
		}
		others = append(others, subject)
	}
	if len(others) > 0 {
		o.Failure = "not only these may: " + text.JoinFew(others, ", ", 5) + " may " + o.ExampleRequest
	}
	return o
}

func (v *invariants) runAnyOf(c Case) Outcome {
	o := Outcome{Case: c}
	class := v.classes.ClassOf[c.Subjects[0]]
	for _, alternative := range c.AnyOf {
		result := v.permitted(alternative)
		if result.err != nil {
			o.Failure = result.err.Error()
			return o
		}
		if e, allowed := result.byClass[class]; allowed {
			o.Decision = policy.Decision{Effect: policy.Allow, Row: e.row}
			return o
		}
	}
	o.Failure = c.Subjects[0] + " may make none of these requests"
	for _, unknown := range v.Unknown(c.Subjects...) {
		o.Failure += "; " + unknown.String()
	}
	return o
}

// permitted finds every kind of subject that may make some request of a pattern.
func (v *invariants) permitted(c Case) permitted {
	key := c.Upstream + "\x00" + c.Method + "\x00" + c.Pattern
	if known, done := v.cache[key]; done {
		return known
	}
	result := permitted{byClass: map[int]permittedExample{}}
	pattern := &policy.Row{Path: c.Pattern, Methods: c.Method}
	regions, err := pathspace.RegionsOf(v.Quirks(c.Upstream), policy.RowsOn(c.Upstream, v.Rows()),
		[]*policy.Row{pattern})
	result.err = err
	decisions := pathspace.NewClassDecisions(v.classes)
	for i := range regions {
		r := &regions[i]
		if len(r.Rows[1]) == 0 {
			continue
		}
		for _, method := range r.Methods {
			if len(r.RowsFor(1, method)) == 0 {
				continue
			}
			decisions.Decide(r.RowsFor(0, method), v.classes.Holders[0])
			for _, k := range decisions.Touched {
				if _, known := result.byClass[k]; !known && decisions.ByClass[k].Allows() {
					exampleText := pathspace.ExampleMethod(method, r.Methods) + " " + c.Upstream + ":" + r.Example
					result.byClass[k] = permittedExample{decisions.ByClass[k].Allow, exampleText}
				}
			}
		}
	}
	v.cache[key] = result
	return result
}

// holdsAny reports whether a user who is one subject is also one of some others.
// What the policy does not name is not in a set of roles, and is looked at here.
func (v *invariants) holdsAny(subject string, others []string) bool {
	roles := v.RolesOfSubject(subject)
	return slices.ContainsFunc(others, func(other string) bool {
		switch {
		case other == subject || other == policy.Anonymous || roles.Has(other): // every user may be treated as anonymous
			return true
		case other == policy.Authenticated:
			return subject != policy.Anonymous
		case policy.ParseSubject(other).Kind == policy.KindUser:
			return other == policy.DomainSubject(subject)
		}
		return policy.ParseSubject(subject).Kind == policy.KindGroup &&
			slices.Contains(policy.OrgWildcardsOf(subject), other)
	})
}

// hasMembers reports whether g rows grant a role to a subject. Then the members are looked
// at, and not the role itself.
func (v *invariants) hasMembers(subject string) bool {
	return policy.ParseSubject(subject).Kind == policy.KindRole &&
		slices.ContainsFunc(v.graph.ImplicitMembers([]string{subject}).Names(), func(member string) bool {
			return policy.ParseSubject(member).Kind != policy.KindRole
		})
}
