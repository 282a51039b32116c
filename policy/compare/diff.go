package compare

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/pathspace"
)

// Diff is what one policy lets people do and another does not. It is complete:
// where it is empty, the two decide every request of every user alike, whatever
// their files look like.
type Diff struct {
	Granted, Revoked   []Change // by upstream, path and subject; not more than the first maxChanges of each
	GrantedN, RevokedN int      // how many there are
}

// Change is one subject for whom the answer turns, at the paths of one class.
type Change struct {
	Subject     string
	AlsoIn      []string // empty where the subject alone tells; else it does so for users who are also one of these
	Upstream    string   // * for every upstream that no row names
	Path        string   // a pattern for people, as in a [Line]
	ExamplePath string   // a path of the class
	Methods     pathspace.Methods
	Allowing    *policy.Row   // lets them in: of the new policy where granted, of the old one where revoked
	Chain       []policy.Link // how the subject, or else the first of With, holds that of Allowing
	Denying     *policy.Row   // turns them away, in the other policy; nil where no row lets them in
}

// maxChanges bounds what is kept of a diff that no one reads to the end.
const maxChanges = 100_000

// Policies finds what changes from one policy to another. Where upstreams is nil,
// those are meant that a row of either names, and all the others together.
//
// Each name that either policy holds is evaluated alone, and a user is admitted
// who is one of those that rows allow, and none of those that they deny. So what
// changes for a user who is several subjects at once follows from what changes
// for each, and from those who come to be refused, or no longer, in spite of what
// else they are: these are the changes that have a With. System:anonymous in it
// stands for users that no row mentions, who may go where anonymous requests may.
//
// It fails where patterns overlap in so many ways that no one could read it.
func Policies(before, after *policy.Snapshot, upstreams []string) (Diff, error) {
	classes := pathspace.NewSubjectClasses(nil, before, after)
	c := comparison{
		SubjectClasses: classes, policies: [2]*policy.Snapshot{before, after},
		graphs:      [2]policy.RoleGraph{policy.NewRoleGraph(before.Grants()), policy.NewRoleGraph(after.Grants())},
		reachable:   [2]map[string]policy.ReachableSet{{}, {}},
		changedRows: changedRows(classes, before, after),
		decisions: [2]*pathspace.ClassDecisions{
			pathspace.NewClassDecisions(classes),
			pathspace.NewClassDecisions(classes),
		},
		minimalCache: map[string][]string{},
	}
	changedUpstreams := map[string]bool{} // upstreams that touched rows name
	for row := range c.changedRows {
		changedUpstreams[row.Upstream] = true
	}
	for _, upstream := range pathspace.UpstreamsOf(upstreams, before.Rows(), after.Rows()) {
		if !changedUpstreams[upstream] && !changedUpstreams[policy.AnyUpstream] {
			continue
		}
		if err := c.compare(upstream); err != nil {
			return Diff{}, fmt.Errorf("upstream %s: %w", upstream, err)
		}
	}
	return c.diff, nil
}

type comparison struct {
	*pathspace.SubjectClasses
	policies     [2]*policy.Snapshot
	graphs       [2]policy.RoleGraph
	reachable    [2]map[string]policy.ReachableSet // subject → what it holds
	changedRows  map[*policy.Row]bool              // rows of either without which nothing changes
	decisions    [2]*pathspace.ClassDecisions
	minimalCache map[string][]string // see minimalSubjects
	diff         Diff
}

// classChange is a change for a class of subjects, before it is listed for each subject.
type classChange struct {
	class             int
	granted           bool
	with              []coSubject
	allowing, denying *policy.Row
	methods           pathspace.Methods
}

// coSubject is another subject of the same user, and the row that admits them by it.
type coSubject struct {
	subject string
	row     *policy.Row
}

func (c classChange) sameChange(other classChange) bool {
	return c.granted == other.granted && c.allowing == other.allowing && c.denying == other.denying &&
		slices.Equal(c.with, other.with)
}

// allowingPolicy is the policy that lets them in.
func (c classChange) allowingPolicy() int {
	if c.granted {
		return 1
	}
	return 0
}

func (c *comparison) compare(upstream string) error {
	rows := overlappingRows(c.changedRows, policy.RowsOn(upstream, c.policies[0].Rows()),
		policy.RowsOn(upstream, c.policies[1].Rows()))
	if len(rows[0])+len(rows[1]) == 0 {
		return nil
	}
	regions, err := pathspace.RegionsOf(policy.QuirksOn(upstream, c.policies[0], c.policies[1]), rows[0], rows[1])
	if err != nil {
		return err
	}
	for i := range regions {
		changes := map[int][]classChange{} // by kind
		for _, method := range regions[i].Methods {
			for _, t := range c.changesAt(&regions[i], method) {
				if at := slices.IndexFunc(changes[t.class], t.sameChange); at >= 0 {
					changes[t.class][at].methods = changes[t.class][at].methods.Union(t.methods)
				} else {
					changes[t.class] = append(changes[t.class], t)
				}
			}
		}
		c.addChanges(upstream, &regions[i], slices.Concat(slices.Collect(maps.Values(changes))...))
	}
	return nil
}

// changesAt finds what changes for one method of an area.
func (c *comparison) changesAt(r *pathspace.Region, method string) []classChange {
	oldRows, newRows := r.RowsFor(0, method), r.RowsFor(1, method)
	if !slices.ContainsFunc(oldRows, c.isChanged) && !slices.ContainsFunc(newRows, c.isChanged) {
		return nil
	}
	c.decisions[0].Decide(oldRows, c.Holders[0])
	c.decisions[1].Decide(newRows, c.Holders[1])
	decided := slices.Concat(c.decisions[0].Touched, c.decisions[1].Touched)
	slices.Sort(decided)
	var changes []classChange
	var allowedInBoth []int    // kinds that are let in before and after
	var indirect []classChange // of kinds that are never let in by themselves
	for _, k := range slices.Compact(decided) {
		before, after := c.decisions[0].ByClass[k], c.decisions[1].ByClass[k]
		t := classChange{class: k, methods: pathspace.Methods{Members: []string{method}, Universe: r.Methods}}
		switch {
		case !before.Allows() && after.Allows():
			t.granted, t.allowing, t.denying = true, after.Allow, before.Deny
			changes = append(changes, t)
		case before.Allows() && !after.Allows():
			t.allowing, t.denying = before.Allow, after.Deny
			changes = append(changes, t)
		case before.Allows():
			allowedInBoth = append(allowedInBoth, k)
		case before.Deny != nil && after.Deny == nil:
			t.granted, t.denying = true, before.Deny
			indirect = append(indirect, t)
		case before.Deny == nil && after.Deny != nil:
			t.denying = after.Deny
			indirect = append(indirect, t)
		}
	}
	return append(changes, c.changesWith(indirect, allowedInBoth)...)
}

func (c *comparison) isChanged(row *policy.Row) bool { return c.changedRows[row] }

// changesWith finds whom a denial concerns that came or went: those who are let in
// by what else they are.
func (c *comparison) changesWith(indirect []classChange, allowedInBoth []int) []classChange {
	var changes []classChange
	if len(indirect) == 0 {
		return nil
	}
	coSubjects := [2][]coSubject{c.coSubjects(allowedInBoth, 0), c.coSubjects(allowedInBoth, 1)}
	for _, t := range indirect {
		if t.with = coSubjects[t.allowingPolicy()]; len(t.with) > 0 {
			changes = append(changes, t)
		}
	}
	return changes
}

// coSubjects gives those subjects of some kinds that come to none of the others:
// a user of one of the classes is one of these. system:anonymous is always among
// them, because no other subject holds exactly the same.
func (c *comparison) coSubjects(classes []int, policyIndex int) []coSubject {
	var coSubjects []coSubject
	for _, subject := range c.minimalSubjects(classes, policyIndex) {
		coSubjects = append(coSubjects, coSubject{subject, c.decisions[policyIndex].ByClass[c.ClassOf[subject]].Allow})
	}
	return coSubjects
}

func (c *comparison) minimalSubjects(classes []int, policyIndex int) []string {
	key := fmt.Sprint(policyIndex, classes) // places differ, and the people seldom do
	if known, found := c.minimalCache[key]; found {
		return known
	}
	included := map[int]bool{}
	for _, k := range classes {
		included[k] = true
	}
	var minimal []string
	for _, k := range classes {
		for _, subject := range c.Classes[k].Subjects {
			roles := c.policies[policyIndex].RolesOfSubject(subject)
			others := slices.Concat(roles.Names(), roles.Subjects())
			if subject == policy.Anonymous || !slices.ContainsFunc(others, func(other string) bool {
				return other != subject && included[c.ClassOf[other]]
			}) {
				minimal = append(minimal, subject)
			}
		}
	}
	slices.SortFunc(minimal, policy.CompareSubjects)
	c.minimalCache[key] = minimal
	return minimal
}

// addChanges adds the changes of an area to the diff, for each subject.
func (c *comparison) addChanges(upstream string, r *pathspace.Region, changes []classChange) {
	type entry struct{ number, changeIndex int }
	var affected []entry
	for i, t := range changes {
		for _, number := range c.Classes[t.class].NameIndexes {
			affected = append(affected, entry{number, i})
		}
	}
	slices.SortStableFunc(affected, func(r, b entry) int { return cmp.Compare(r.number, b.number) })
	for _, each := range affected {
		subject, t := c.Names[each.number], changes[each.changeIndex]
		with := compatibleWith(subject, t.with)
		if len(t.with) > 0 && len(with) == 0 {
			continue
		}
		list, n := &c.diff.Revoked, &c.diff.RevokedN
		if t.granted {
			list, n = &c.diff.Granted, &c.diff.GrantedN
		}
		if *n++; len(*list) == maxChanges {
			continue
		}
		change := Change{
			Subject: subject, Upstream: upstream, Path: r.Label, ExamplePath: r.Example,
			Methods: t.methods, Allowing: t.allowing, Denying: t.denying,
		}
		for _, other := range with {
			change.AlsoIn = append(change.AlsoIn, other.subject)
			change.Allowing = with[0].row
		}
		change.Chain = c.chain(change, t.allowingPolicy())
		*list = append(*list, change)
	}
}

func (c *comparison) chain(change Change, policyIndex int) []policy.Link {
	from := change.Subject
	if len(change.AlsoIn) > 0 {
		from = change.AlsoIn[0]
	}
	if from == change.Allowing.Subject {
		return nil
	}
	reachable, known := c.reachable[policyIndex][from]
	if !known {
		reachable = c.graphs[policyIndex].ImplicitRoles(policy.DirectSubjectsOf(from))
		c.reachable[policyIndex][from] = reachable
	}
	return reachable.ChainTo(change.Allowing.Subject)
}

// compatibleWith gives those of a list that a user who is a subject already can be. No user
// has two e-mail addresses, and an anonymous user is nothing else.
func compatibleWith(subject string, list []coSubject) []coSubject {
	switch {
	case subject == policy.Anonymous:
		return nil
	case policy.ParseSubject(subject).Kind == policy.KindUser:
		return slices.DeleteFunc(slices.Clone(list),
			func(a coSubject) bool { return policy.ParseSubject(a.subject).Kind == policy.KindUser })
	}
	return list
}
