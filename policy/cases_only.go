package policy

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/target"
)

// invariant reads an item of cases that says who alone may make some requests.
func (r *caseReader) invariant(item *yaml.Node, keys map[string]*yaml.Node) {
	for _, name := range []string{"who", "deny"} {
		if n := keys[name]; n != nil {
			r.faults.Add(r.position(n), name+" cannot be combined with only", "write only: and allow:, or make a case of its own")
			return
		}
	}
	if keys["allow"] == nil {
		r.faults.Add(r.position(item), "the invariant names no request", "add allow: with a list such as [POST argocd:/api/v1/**]")
		return
	}
	var base Case
	if name, written := keys["name"]; written {
		f, _ := r.text("name", name)
		base.Name = f.text
	}
	base.at = r.position(item)
	subjects, ok := r.onlySubjects(r.who("only", keys["only"]))
	base.Only = subjects
	var requests []Case
	for _, n := range r.list("allow", keys["allow"]) {
		request, sound := r.patternRequest(base, n)
		ok = ok && sound
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
		c.Subjects, c.Who, c.AnyOf, c.Expect = []string{subject}, whoIs(subject), requests, Allow
		var targets []string
		for _, request := range requests {
			targets = append(targets, request.Method+" "+request.Target)
		}
		c.Target = strings.Join(targets, ", ")
		r.add(c)
	}
}

func (r *caseReader) onlySubjects(named []field) (subjects []string, ok bool) {
	ok = len(named) > 0
	for _, f := range named {
		name := foldSubject(f.text)
		what, mend := checkAsker(name)
		if what == "" && slices.Contains(subjects, name) {
			what, mend = quote(f.text)+" is named twice", "name it once"
		}
		if what != "" {
			ok = r.refuse(f, what, mend)
		}
		subjects = append(subjects, name)
	}
	return subjects, ok
}

// patternRequest reads a request whose method and path may be those of a row.
func (r *caseReader) patternRequest(c Case, n *yaml.Node) (Case, bool) {
	method, name, ok := r.methodAndTarget(n)
	if !ok {
		return c, false
	}
	if what, mend := checkMethods(method.text); what != "" {
		ok = r.refuse(method, what, mend)
	}
	c.Method, c.Target, c.Subjects, c.at = method.text, name.text, c.Only, method.at
	upstream, path, err := r.find(name.text)
	if err != nil {
		return c, r.refuse(name, err.Error(), "")
	}
	c.Upstream, c.Path, c.Pattern = upstream, path, path.String()
	if what, mend := target.CheckPatternWith(c.Pattern, path.Quirks()); what != "" {
		ok = r.refuse(name, what, mend)
	}
	return c, ok
}

// invariants checks who alone may make some requests. It is complete: users are the
// subjects that they are, and a user who may do something is at least one subject that
// may do it alone, because further subjects only add deny rows.
type invariants struct {
	*Snapshot
	census *census
	ways   ways
	found  map[string]permitted // request → who may make it
}

// permitted is the kinds of subjects that may make some request of a pattern, each with
// an example.
type permitted struct {
	of  map[int]example
	err error
}

type example struct {
	row     *Row
	witness string
}

func (s *Snapshot) newInvariants(cases []Case) *invariants {
	further := []string{anonymous, authenticated}
	for _, c := range cases {
		further = append(further, c.Only...)
	}
	return &invariants{s, censusOf(further, s), newWays(s.grants), map[string]permitted{}}
}

func (v *invariants) try(c Case) Outcome {
	if len(c.AnyOf) > 0 {
		return v.tryAnyOf(c)
	}
	o := Outcome{Case: c}
	may := v.permitted(c)
	if may.err != nil {
		o.Failure = may.err.Error()
		return o
	}
	var others []string
	for _, subject := range v.census.names {
		e, allowed := may.of[v.census.kindOf[subject]]
		if !v.numbers.has(subject) && subject != anonymous && subject != authenticated {
			continue // it is here because a case names it, and may what everyone who is signed in may
		}
		if !allowed || v.holdsAny(subject, c.Only) || v.hasMembers(subject) {
			continue
		}
		if len(others) == 0 {
			o.Decision, o.Witness = Decision{Effect: Allow, Rule: e.row}, e.witness
		}
		others = append(others, subject)
	}
	if len(others) > 0 {
		o.Failure = "not only these may: " + few(others) + " may " + o.Witness
	}
	return o
}

func (v *invariants) tryAnyOf(c Case) Outcome {
	o := Outcome{Case: c}
	kind := v.census.kindOf[c.Subjects[0]]
	for _, request := range c.AnyOf {
		may := v.permitted(request)
		if may.err != nil {
			o.Failure = may.err.Error()
			return o
		}
		if e, allowed := may.of[kind]; allowed {
			o.Decision = Decision{Effect: Allow, Rule: e.row}
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
	if known, done := v.found[key]; done {
		return known
	}
	may := permitted{of: map[int]example{}}
	pattern := &Row{Path: c.Pattern, Methods: c.Method}
	areas, err := areasOf(v.Quirks(c.Upstream), rowsOn(c.Upstream, v.rows), []*Row{pattern})
	may.err = err
	desk := newRulings(v.census)
	for i := range areas {
		a := &areas[i]
		if len(a.rows[1]) == 0 {
			continue
		}
		for _, method := range a.methods {
			if len(a.rowsFor(1, method)) == 0 {
				continue
			}
			desk.judge(a.rowsFor(0, method), v.census.holders[0])
			for _, k := range desk.touched {
				if _, known := may.of[k]; !known && desk.of[k].allows() {
					witness := methodOf(method, a.methods) + " " + c.Upstream + ":" + a.witness
					may.of[k] = example{desk.of[k].allow, witness}
				}
			}
		}
	}
	v.found[key] = may
	return may
}

// holdsAny reports whether somebody who is one subject is also one of some others.
// What the policy does not name is not in a set of roles, and is looked at here.
func (v *invariants) holdsAny(subject string, others []string) bool {
	roles := v.alone(subject)
	return slices.ContainsFunc(others, func(other string) bool {
		switch {
		case other == subject || other == anonymous || roles.has(other): // anonymous: everybody may go as such
			return true
		case other == authenticated:
			return subject != anonymous
		case rank(other) == rankUser:
			return other == domainSubject(subject)
		}
		return rank(subject) == rankGroup && slices.Contains(organisationsOf(subject), other)
	})
}

// hasMembers reports whether g rows make somebody a role. Then the members are looked
// at, and not the role itself.
func (v *invariants) hasMembers(subject string) bool {
	return rank(subject) == rankRole && slices.ContainsFunc(v.ways.into([]string{subject}).order, func(member string) bool {
		return rank(member) != rankRole
	})
}

// few lists names, the first of them if there are many.
func few(names []string) string {
	const most = 5
	if more := len(names) - most; more > 1 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(", and %d other subjects", more)
	}
	return strings.Join(names, ", ")
}
