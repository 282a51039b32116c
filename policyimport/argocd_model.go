package policyimport

import (
	"maps"
	"slices"
	"strings"
)

// rule is a p row of Argo CD.
type rule struct {
	entry
	subject                  string
	resource, action, object *pattern
	deny                     bool
	project                  string // whose rules Argo CD adds for objects of that project
	builtin                  bool
}

// model decides as Argo CD does (util/rbac/rbac.go, server/rbacpolicy), for all
// objects at once.
type model struct {
	regex    bool
	settings map[string]bool // ownRollback, wideUpdate
	rules    []*rule
	grants   []grantRow
	projects []string // those with rules of their own, sorted

	patterns map[string]*pattern
	shapes   map[string]*language
	met      map[string]bool // whether a pattern meets a shape
	tooLong  []*rule         // rules whose objects could not be compared in time
	opened   map[*rule]access
}

// grantRow is a g row of Argo CD.
type grantRow struct {
	member, role string
	project      string // in whose rules it stands
}

// opening is an endpoint that a subject may use, or a part of one.
type opening struct {
	row     string // "METHODS PATH" of the table
	segment string // for {name} or {app}; * for any
}

// access is what a subject may use.
type access map[opening]bool

// covers reports whether an access has an opening, or one that is wider.
func (a access) covers(o opening) bool {
	return a[o] || a[opening{o.row, "*"}]
}

// within reports whether everything in a is in all of b.
func (a access) within(b access) bool {
	for o := range a {
		if !b.covers(o) {
			return false
		}
	}
	return true
}

func newModel(regex bool) *model {
	return &model{
		regex: regex, settings: map[string]bool{}, patterns: map[string]*pattern{},
		shapes: map[string]*language{}, met: map[string]bool{}, opened: map[*rule]access{},
	}
}

func (m *model) pattern(text string) *pattern {
	if m.patterns[text] == nil {
		m.patterns[text] = newPattern(text, m.regex)
	}
	return m.patterns[text]
}

func (m *model) shape(expression string) *language {
	if m.shapes[expression] == nil {
		m.shapes[expression] = mustLanguage(expression)
	}
	return m.shapes[expression]
}

// addRule takes a row of six fields.
func (m *model) addRule(e entry, project string, builtin bool) *rule {
	r := &rule{
		entry: e, subject: e.fields[1], resource: m.pattern(e.fields[2]), action: m.pattern(e.fields[3]),
		object: m.pattern(e.fields[4]), deny: e.fields[5] == "deny", project: project, builtin: builtin,
	}
	m.rules = append(m.rules, r)
	return r
}

func (m *model) addBuiltin() {
	for row := range strings.Lines(strings.TrimSpace(builtinRows)) {
		fields := strings.Split(strings.TrimSpace(row), ", ")
		if fields[0] == "g" {
			m.grants = append(m.grants, grantRow{member: fields[1], role: fields[2]})
			continue
		}
		m.addRule(entry{fields: fields, text: strings.TrimSpace(row)}, "", true)
	}
}

// maxChain is how many g rows casbin follows from a name.
const maxChain = 10

// held gives the names that a subject stands for where the rules of a project count.
func (m *model) held(subject, project string) map[string]bool {
	held := map[string]bool{subject: true}
	level := []string{subject}
	for range maxChain {
		var next []string
		for _, g := range m.grants {
			if (g.project == "" || g.project == project) && slices.Contains(level, g.member) && !held[g.role] {
				held[g.role] = true
				next = append(next, g.role)
			}
		}
		if level = next; len(level) == 0 {
			break
		}
	}
	return held
}

// heirs gives the names that come to a name by any number of g rows, and itself.
func (m *model) heirs(name string) map[string]bool {
	heirs := map[string]bool{name: true}
	for level := []string{name}; len(level) > 0; {
		var next []string
		for _, g := range m.grants {
			if !heirs[g.member] && slices.Contains(level, g.role) {
				heirs[g.member] = true
				next = append(next, g.member)
			}
		}
		level = next
	}
	return heirs
}

// takesAway reports whether a deny meets an allow that one name may have, too.
func (m *model) takesAway(d *rule) bool {
	heirs := m.heirs(d.subject)
	return slices.ContainsFunc(m.rules, func(r *rule) bool {
		if r.effect() != "allow" || !m.meetsRule(r, d) {
			return false
		}
		for heir := range m.heirs(r.subject) {
			if heirs[heir] {
				return true
			}
		}
		return false
	})
}

// meetsRule reports whether two rules may match one request; in doubt they do.
func (m *model) meetsRule(r, d *rule) bool {
	may := func(a, b *pattern) bool { return a.whole == nil || b.whole == nil || overlap(a.whole, b.whole) }
	return may(r.resource, d.resource) && may(r.action, d.action) && may(r.object, d.object)
}

// asked tells for a group whether Argo CD looks at it at all: it takes those that
// some g row names.
func (m *model) asked(subject, project string) bool {
	return slices.ContainsFunc(m.grants, func(g grantRow) bool {
		return g.member == subject && (g.project == "" || g.project == project)
	})
}

// access gives what a subject may use. A role is asked as if it were a person; a
// group counts where a g row names it.
func (m *model) access(subject string, isRole bool) access {
	all := access{}
	for _, project := range append([]string{""}, m.projects...) {
		if !isRole && !m.asked(subject, project) {
			continue
		}
		held := m.held(subject, project)
		var allows, denies []*rule
		for _, r := range m.rules {
			if !held[r.subject] || r.project != "" && r.project != project {
				continue
			}
			switch {
			case m.poisons(r) || r.deny && !r.idle():
				denies = append(denies, r)
			case r.effect() == "allow":
				allows = append(allows, r)
			}
		}
		for _, r := range allows {
			maps.Copy(all, m.opens(r, denies, project))
		}
	}
	for o := range all {
		if o.segment != "*" && all[opening{o.row, "*"}] {
			delete(all, o)
		}
	}
	return all
}

func (r *rule) effect() string { return r.fields[5] }

// idle reports whether a glob cannot be read, with which the rule matches nothing.
func (r *rule) idle() bool {
	for _, p := range []*pattern{r.resource, r.action, r.object} {
		if p.whole == nil && !p.unclear {
			return true
		}
	}
	return false
}

// poisons reports whether Argo CD fails over a rule: casbin gives an error for an
// expression that does not compile, and an error is a denial of everything on which
// it comes so far.
func (m *model) poisons(r *rule) bool {
	return m.regex && (r.resource.whole == nil || r.action.whole == nil || r.object.whole == nil)
}

// opens gives what an allow opens that no deny closes, for the objects of a project
// with rules of its own, or for all the others.
func (m *model) opens(r *rule, denies []*rule, project string) access {
	simple := len(denies) == 0 && len(m.projects) == 0
	if simple && m.opened[r] != nil {
		return m.opened[r]
	}
	found := access{}
	for i := range argocdTable {
		p := &argocdTable[i]
		if len(p.opens) == 0 || !m.counts(p) || !m.passes(r, p, denies, project) {
			continue
		}
		for _, row := range p.opens {
			segments := []string{"*"}
			if strings.Contains(row, "{name}") || strings.Contains(row, "{app}") {
				segments = r.object.segments(strings.Contains(row, "{app}"))
			}
			if project != "" && p.object == projectObject {
				segments = []string{project} // its rules count for itself, whatever they name
			}
			for _, segment := range segments {
				found[opening{row, segment}] = true
			}
		}
	}
	if simple {
		m.opened[r] = found
	}
	return found
}

// counts reports whether Argo CD asks for a permission with the settings that it has.
func (m *model) counts(p *permission) bool {
	setting, not := strings.CutPrefix(p.when, "!")
	return setting == "" || m.settings[setting] != not
}

// passes reports whether there is an action on an object that a rule allows and no
// deny takes away.
func (m *model) passes(r *rule, p *permission, denies []*rule, project string) bool {
	if !m.speaksOf(r, p) {
		return false
	}
	var against []*rule
	for _, d := range denies {
		if d.resource.whole == nil || overlap(d.resource.whole, m.word(p.resource)) {
			against = append(against, d)
		}
	}
	within, known := m.objects(p, project)
	if len(against) == 0 && len(within) == 1 && len(known) == 0 {
		return true
	}
	if len(against)+len(known) > 60 {
		m.tooLong = append(m.tooLong, r)
		return false
	}
	// A deny takes away what both its action and its object match; one that cannot be
	// read takes away all that it might.
	var actions, objects []*language
	var always uint64
	for i, d := range against {
		actions = append(actions, orAll(d.action))
		if d.action.whole == nil {
			objects = append(objects, everything)
		} else {
			objects = append(objects, orAll(d.object))
		}
		if d.resource.whole == nil {
			always |= 1 << i
		}
	}
	if always != 0 {
		return false
	}
	var byAction []uint64
	complete := words([]*language{r.action.whole, m.shape(p.action)}, actions, func(in uint64) bool {
		byAction = append(byAction, in)
		return true
	})
	some := false
	outside := uint64(1<<len(known)-1) << len(objects) // objects of projects that are looked at on their own
	all := append([]*language{r.object.whole}, within...)
	complete = words(all, append(objects, known...), func(in uint64) bool {
		some = in&outside == 0 && slices.ContainsFunc(byAction, func(a uint64) bool { return a&in == 0 })
		return !some
	}) && complete
	if !complete && !some {
		m.tooLong = append(m.tooLong, r)
	}
	return some
}

func orAll(p *pattern) *language {
	if p.whole == nil {
		return everything
	}
	return p.whole
}

var everything = mustLanguage(anyLetter + `*`)

// objects gives the languages of the objects that Argo CD can ask about: of the
// project, or of none of those that have rules of their own.
func (m *model) objects(p *permission, project string) (within, outside []*language) {
	within = []*language{m.shape(p.object)}
	inProject := func(name string) *language {
		switch p.object {
		case appObject, urlObject:
			return m.shape(quoteExpression(name) + `/` + anyLetter + `*`)
		case projectObject:
			return m.shape(quoteExpression(name))
		}
		return nil
	}
	if project != "" {
		if l := inProject(project); l != nil && p.resource != "write-repositories" {
			return append(within, l), nil
		}
		return append(within, nothing), nil
	}
	for _, name := range m.projects {
		if l := inProject(name); l != nil && p.resource != "write-repositories" {
			outside = append(outside, l)
		}
	}
	return within, outside
}

var nothing = mustLanguage(`[^\x00-\x{10FFFF}]`)

// speaksOf reports whether a rule matches something that Argo CD asks for by a
// permission, whatever other rules say.
func (m *model) speaksOf(r *rule, p *permission) bool {
	return m.meets(r.resource, "", p.resource) && m.meets(r.action, p.action, "") && m.meets(r.object, p.object, "")
}

func (m *model) meets(p *pattern, expression, word string) bool {
	if p.whole == nil {
		return false
	}
	key := p.text + "\x00" + expression + "\x00" + word
	some, known := m.met[key]
	if !known {
		shape := m.shape(expression)
		if word != "" {
			shape = m.word(word)
		}
		some = overlap(p.whole, shape)
		m.met[key] = some
	}
	return some
}

func (m *model) word(word string) *language { return m.shape(quoteExpression(word)) }

// means reports whether a rule allows something that Argo CD asks for, an endpoint
// of its own or not.
func (m *model) means(r *rule) bool {
	return slices.ContainsFunc(argocdTable, func(p permission) bool {
		if r.project != "" {
			return m.passes(r, &p, nil, r.project)
		}
		return m.speaksOf(r, &p)
	})
}
