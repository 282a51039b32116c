package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
)

// changeGroup is changes that a person reads as one: the same people, for the same
// rows, at one or more places of one upstream.
type changeGroup struct {
	granted  bool
	subjects []string // roles first
	policy.Change
	places []policy.Change // one for each path and methods
}

// groupChanges joins changes in the order in which they come: first the subjects of
// one place, then the places of the same subjects.
func groupChanges(changes []policy.Change, granted bool) []*changeGroup {
	type site struct {
		upstream, path, witness, methods, with string
		allowing, denying                      *policy.Row
	}
	var sites []*changeGroup
	atSite := map[site]*changeGroup{}
	for _, c := range changes {
		key := site{c.Upstream, c.Path, c.Witness, c.Methods.String(), strings.Join(c.With, "\n"), c.Allowing, c.Denying}
		if atSite[key] == nil {
			atSite[key] = &changeGroup{granted: granted, Change: c, places: []policy.Change{c}}
			sites = append(sites, atSite[key])
		}
		atSite[key].subjects = append(atSite[key].subjects, c.Subject)
	}
	type people struct{ upstream, with, subjects string }
	var groups []*changeGroup
	of := map[people]*changeGroup{}
	for _, g := range sites {
		key := people{g.Upstream, strings.Join(g.With, "\n"), strings.Join(g.subjects, "\n")}
		if of[key] == nil {
			of[key] = g
			groups = append(groups, g)
			continue
		}
		of[key].places = append(of[key].places, g.places...)
	}
	return groups
}

// groupsByUpstream gives what a diff tells, upstream by upstream.
func (c compared) groupsByUpstream() (upstreams []string, groups map[string][]*changeGroup) {
	groups = map[string][]*changeGroup{}
	all := append(groupChanges(c.Granted, true), groupChanges(c.Revoked, false)...)
	for _, g := range all {
		if groups[g.Upstream] == nil {
			upstreams = append(upstreams, g.Upstream)
		}
		groups[g.Upstream] = append(groups[g.Upstream], g)
	}
	return upstreams, groups
}

func (c compared) summary() string {
	if c.GrantedN+c.RevokedN == 0 {
		return "no change"
	}
	return fmt.Sprintf("%d granted, %d revoked", c.GrantedN, c.RevokedN)
}

// mostNames, mostPlaces, mostRows and mostWays bound what is read of one change.
const (
	mostNames  = 8
	mostPlaces = 12
	mostRows   = 2
	mostWays   = 4
)

func (c compared) print(s *sheet) {
	upstreams, groups := c.groupsByUpstream()
	for _, upstream := range upstreams {
		s.line("%s", s.strong(upstreamName(upstream)))
		for _, g := range groups[upstream] {
			g.print(s)
		}
	}
	if cut := c.GrantedN + c.RevokedN - len(c.Granted) - len(c.Revoked); cut > 0 {
		s.line("%s", s.warn(fmt.Sprintf("and %d more, which are only counted", cut)))
	}
	s.line("%s", c.summary())
}

func (g *changeGroup) print(s *sheet) {
	sign := s.bad("-")
	if g.granted {
		sign = s.good("+")
	}
	s.line("  %s %s", sign, g.who())
	for _, way := range g.ways(s) {
		s.line("      %s %s", s.faint("as"), way)
	}
	var rows [][]string
	for i, place := range g.places {
		if i == mostPlaces && len(g.places) > mostPlaces+1 {
			rows = append(rows, []string{s.faint(fmt.Sprintf("      and %d more, which -o json lists", len(g.places)-i))})
			break
		}
		rows = append(rows, []string{"      " + place.Methods.String(), place.Path, g.why(place), s.faint("e.g. " + place.Witness)})
	}
	s.table(rows)
	if rows := g.rows(mostRows + 1); len(rows) <= mostRows { // else why says enough
		for _, row := range rows {
			s.line("      %s", s.faint(row.Where()+": "+row.String()))
		}
	}
}

// why names the rows of either side.
func (g *changeGroup) why(c policy.Change) string {
	switch {
	case g.granted && c.Denying != nil:
		return c.Denying.Where() + " denied, now " + c.Allowing.Where() + " allows"
	case g.granted:
		return c.Allowing.Where() + " allows"
	case c.Denying != nil:
		return c.Allowing.Where() + " allowed, now " + c.Denying.Where() + " denies"
	}
	return c.Allowing.Where() + " allowed, now no row does"
}

// rows gives the first rows that a group rests on, each once.
func (g *changeGroup) rows(most int) []*policy.Row {
	var rows []*policy.Row
	for _, place := range g.places {
		for _, row := range []*policy.Row{place.Allowing, place.Denying} {
			if row != nil && len(rows) < most && !slices.Contains(rows, row) {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// ways tells how the first of a group comes to the rows that let it in, where it is
// not the row's own subject and those who come with it: each way once.
func (g *changeGroup) ways(s *sheet) []string {
	var ways []string
	for _, place := range g.places {
		if len(place.Chain) == 0 || slices.Contains(g.subjects, place.Allowing.Subject) || len(g.With) > 0 {
			continue
		}
		way := heldSubject{Chain: newChain(place.Chain)}.how(s)
		switch {
		case slices.Contains(ways, way):
		case len(ways) == mostWays:
			return append(ways, "and in other ways, which -o json lists")
		default:
			ways = append(ways, way)
		}
	}
	return ways
}

// who tells of roles, then of those whom they reach, then of what else a person
// has to be.
func (g *changeGroup) who() string {
	var roles, others []string
	for _, subject := range g.subjects {
		switch {
		case strings.HasPrefix(subject, "role:"):
			roles = append(roles, subject)
		case subject == everySignedIn:
			others = append([]string{"everybody who is signed in (" + subject + ")"}, others...)
		case subject == notSignedIn:
			others = append(others, "whoever is not signed in ("+subject+"), and people of whom no row speaks")
		default:
			others = append(others, subject)
		}
	}
	who := fewOf(roles, mostNames)
	if len(roles) > 0 && len(others) > 0 {
		who += ", and so "
	}
	who += fewOf(others, mostNames)
	switch len(g.With) {
	case 0:
		return who
	case 1:
		return who + ", for whoever is also " + g.With[0]
	}
	return who + ", for whoever is also one of " + fewOf(g.With, mostNames)
}
