package policy

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/rbac"

	"github.com/example-org/authgate/target"
)

// This is the only file that imports casbin. Three habits of casbin shape it:
//
// LoadPolicy and AddPolicy on an enforcer in use let wrong requests through
// while they run, so no enforcer is touched after it was built.
//
// g() in a matcher remembers every subject it has ever seen, so the matcher has
// none: roles are resolved beforehand, and hasRole looks into the set. It also
// evaluates all roles in one decision; one call for each role would lose denials.
//
// Enforce takes time for each row that it holds, so each upstream has an enforcer
// of its own, and rows with * are in all of them.
const modelText = `
[request_definition]
r = roles, app, path, meth
[policy_definition]
p = sub, app, path, meth, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = hasRole(r.roles, p.sub) && pathMatch(r.path, p.path) && methodMatch(r.meth, p.meth) && r.app == p.app
`

// upstreamEnforcer gives casbin's decisions for one upstream. It is safe for concurrent use.
type upstreamEnforcer struct {
	upstream string
	enforcer *casbin.Enforcer
	rows     []*Row // what casbin holds, in its order
}

// lazyEnforcer builds its enforcer when it is first needed.
type lazyEnforcer func() (*upstreamEnforcer, error)

// newLazyEnforcers gives an enforcer for each upstream, and one for the upstreams that no
// row names. They share the work of telling the rows apart.
func newLazyEnforcers(upstreams iter.Seq[string], rows []*Row) (enforcers map[string]lazyEnforcer, other lazyEnforcer) {
	indexesByUpstream := sync.OnceValue(func() map[string][]uint32 {
		indexes := make(map[string][]uint32)
		for i, row := range rows {
			indexes[row.Upstream] = append(indexes[row.Upstream], uint32(i))
		}
		return indexes
	})
	lazy := func(upstream string) lazyEnforcer {
		return sync.OnceValues(func() (*upstreamEnforcer, error) {
			indexes := indexesByUpstream()[AnyUpstream]
			if upstream != AnyUpstream {
				indexes = slices.Concat(indexes, indexesByUpstream()[upstream])
				slices.Sort(indexes)
			}
			upstreamRows := make([]*Row, len(indexes))
			for i, position := range indexes {
				upstreamRows[i] = rows[position]
			}
			return newUpstreamEnforcer(upstream, upstreamRows)
		})
	}
	enforcers = make(map[string]lazyEnforcer)
	for upstream := range upstreams {
		enforcers[upstream] = lazy(upstream)
	}
	return enforcers, lazy(AnyUpstream)
}

// casbinRule is a row as casbin holds it, in the order of the model.
type casbinRule [5]string

func (r *Row) casbinRule(upstream string) casbinRule {
	return casbinRule{r.Subject, upstream, r.Path, r.Methods, r.Effect.String()}
}

// newUpstreamEnforcer builds the enforcer of an upstream from the rows that concern it, in the
// order of the files. Without rows there is no enforcer: casbin would try its
// matcher once, with every field of the policy empty.
func newUpstreamEnforcer(upstream string, rows []*Row) (*upstreamEnforcer, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	e := &upstreamEnforcer{upstream: upstream, rows: rows}
	policy := make([][]string, len(rows))
	for i, row := range rows {
		rule := row.casbinRule(upstream)
		policy[i] = rule[:]
	}
	var err error
	if e.enforcer, err = newEnforcer(policy, nil); err != nil {
		return nil, fmt.Errorf("building the enforcer of upstream %s: %w", upstream, err)
	}
	return e, nil
}

// decide asks casbin. The caller has seen to it that nothing in the question is
// empty. An error means deny, and the zero Decision that comes with it does.
func (e *upstreamEnforcer) decide(roles Roles, path, method string) (d Decision, err error) {
	if e == nil {
		return Decision{}, nil
	}
	defer func() {
		if r := recover(); r != nil {
			d, err = Decision{}, fmt.Errorf("casbin panicked: %v", r)
		}
	}()
	allowed, explanation, err := e.enforcer.EnforceEx(roles, e.upstream, path, method)
	if err != nil {
		return Decision{}, fmt.Errorf("asking casbin: %w", err)
	}
	if len(explanation) == 0 && !allowed {
		return Decision{}, nil
	}
	if len(explanation) != len(casbinRule{}) {
		return Decision{}, errors.New("casbin names no row for its decision")
	}
	row := e.findRow(casbinRule(explanation))
	if row == nil || (row.Effect == Allow) != allowed {
		return Decision{}, errors.New("casbin's decision is not that of the row it names")
	}
	return Decision{Effect: row.Effect, Row: row}, nil
}

// findRow finds the first row that casbin holds in this form. Enforce has just looked
// at each of them, and at far greater cost.
func (e *upstreamEnforcer) findRow(rule casbinRule) *Row {
	i := slices.IndexFunc(e.rows, func(row *Row) bool { return row.casbinRule(e.upstream) == rule })
	if i < 0 {
		return nil
	}
	return e.rows[i]
}

// selfTest asks a question that the first row answers: an unknown function or field
// shows itself only when casbin is first asked. [Snapshot.Prepare] asks one in another way.
func (e *upstreamEnforcer) selfTest() error {
	if e == nil {
		return nil
	}
	row := e.rows[0]
	path, method := row.exampleRequest()
	d, err := e.decide(Roles{&roleSet{roles: []string{row.Subject}, others: []string{row.Subject}}}, path, method)
	if err == nil && d.Row == nil {
		err = errors.New("casbin does not find " + row.String())
	}
	if err != nil {
		return fmt.Errorf("trying the enforcer of upstream %s: %w", e.upstream, err)
	}
	return nil
}

// roleManager is casbin's knowledge of which roles a member holds. It is safe for
// concurrent use with names of the policy; for others casbin would write a passing
// entry.
type roleManager struct{ manager rbac.RoleManager }

func newRoleManager(grants []Grant) (*roleManager, error) {
	links := make([][]string, len(grants))
	for i, g := range grants {
		links[i] = []string{g.Member, g.Role}
	}
	enforcer, err := newEnforcer(nil, links)
	if err != nil {
		return nil, fmt.Errorf("building the role manager: %w", err)
	}
	return &roleManager{enforcer.GetRoleManager()}, nil
}

// ImplicitRoles gives the roles that a member holds, sorted, over at most maxChain grants.
func (m *roleManager) implicitRoles(member string) ([]string, error) {
	roles, err := m.manager.GetImplicitRoles(member)
	if err != nil {
		return nil, fmt.Errorf("asking casbin for the roles of %s: %w", member, err)
	}
	return slices.Sorted(slices.Values(roles)), nil
}

// newEnforcer builds an enforcer with these rows and makes sure that it holds
// them all.
func newEnforcer(rules, links [][]string) (e *casbin.Enforcer, err error) {
	defer func() {
		if r := recover(); r != nil { // casbin panics on some input that it does not expect
			e, err = nil, fmt.Errorf("casbin panicked: %v", r)
		}
	}()
	m, err := model.NewModelFromString(modelText)
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	if err := addPolicies(m, rules, links); err != nil {
		return nil, err
	}
	if e, err = casbin.NewEnforcer(m); err != nil {
		return nil, fmt.Errorf("taking the model: %w", err)
	}
	e.AddFunction("hasRole", matcherFunc(Roles.Has))
	e.AddFunction("pathMatch", matcherFunc(target.MatchPattern))
	e.AddFunction("methodMatch", matcherFunc(MatchMethod))
	if err := e.BuildRoleLinks(); err != nil {
		return nil, fmt.Errorf("linking roles: %w", err)
	}
	return e, verifyLoaded(e, rules, links)
}

// addPolicies adds row by row: where casbin takes several at once, or reads lines, it
// drops a row whose fields, joined by commas, equal those of another, even where
// the one denies.
func addPolicies(m model.Model, rules, links [][]string) error {
	for _, r := range rules {
		if err := m.AddPolicy("p", "p", r); err != nil {
			return fmt.Errorf("adding p row %q: %w", r, err)
		}
	}
	for _, l := range links {
		if err := m.AddPolicy("g", "g", l); err != nil {
			return fmt.Errorf("adding g row %q: %w", l, err)
		}
	}
	p := m["p"]["p"]
	p.Policy = slices.Clip(slices.Clone(p.Policy)) // grown by appending, kept for long
	return nil
}

func verifyLoaded(e *casbin.Enforcer, rules, links [][]string) error {
	loadedRules, err := e.GetPolicy()
	if err != nil {
		return fmt.Errorf("reading p rows back: %w", err)
	}
	loadedLinks, err := e.GetGroupingPolicy()
	if err != nil {
		return fmt.Errorf("reading g rows back: %w", err)
	}
	if !slices.EqualFunc(loadedRules, rules, slices.Equal) || !slices.EqualFunc(loadedLinks, links, slices.Equal) {
		return errors.New("casbin does not hold every row")
	}
	return nil
}

// matcherFunc makes a function of two arguments callable from the matcher.
func matcherFunc[A, B any](fn func(A, B) bool) func(args ...any) (any, error) {
	return func(args ...any) (any, error) {
		if len(args) != 2 {
			return false, fmt.Errorf("%d arguments where 2 are due", len(args))
		}
		a, isA := args[0].(A)
		b, isB := args[1].(B)
		if !isA || !isB {
			return false, fmt.Errorf("arguments of type %T and %T", args[0], args[1])
		}
		return fn(a, b), nil
	}
}

// enforce asks casbin's enforcer of the whole upstream.
func (s *Snapshot) enforce(q *Request) (Decision, error) {
	e, err := s.enforcerFor(q.Upstream)
	if err != nil {
		return Decision{}, err
	}
	return e.decide(q.Roles, q.Path.String(), q.Method)
}

// enforcerFor gives the enforcer of an upstream, nil where there is none.
func (s *Snapshot) enforcerFor(upstream string) (*upstreamEnforcer, error) {
	if e, named := s.enforcers[upstream]; named {
		return e()
	}
	if s.otherEnforcer == nil {
		return nil, nil
	}
	return s.otherEnforcer()
}
