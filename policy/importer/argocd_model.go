package importer

import (
	"maps"
	"slices"
	"strings"
)

// modelRow is a p row of Argo CD.
type modelRow struct {
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
	rows     []*modelRow
	grants   []grantRow
	projects []string // those with rules of their own, sorted

	patterns    map[string]*pattern
	languages   map[string]*language
	matchCache  map[string]bool // whether a pattern meets a shape
	undecided   []*modelRow     // rules whose objects could not be compared in time
	accessCache map[*modelRow]access
}

// grantRow is a g row of Argo CD.
type grantRow struct {
	member, role string
	project      string // in whose rules it stands
}

// endpointAccess is an endpoint that a subject may use, or a part of one.
type endpointAccess struct {
	row     string // "METHODS PATH" of the table
	segment string // for {name} or {app}; * for any
}

// access is what a subject may use.
type access map[endpointAccess]bool

// covers reports whether an access has an opening, or one that is wider.
func (a access) covers(o endpointAccess) bool {
	return a[o] || a[endpointAccess{o.row, "*"}]
}

// isSubsetOf reports whether everything in a is in all of b.
func (a access) isSubsetOf(b access) bool {
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
		languages: map[string]*language{}, matchCache: map[string]bool{}, accessCache: map[*modelRow]access{},
	}
}

func (m *model) pattern(text string) *pattern {
	if m.patterns[text] == nil {
		m.patterns[text] = newPattern(text, m.regex)
	}
	return m.patterns[text]
}

func (m *model) language(expression string) *language {
	if m.languages[expression] == nil {
		m.languages[expression] = mustLanguage(expression)
	}
	return m.languages[expression]
}

// addRow takes a row of six fields.
func (m *model) addRow(e entry, project string, builtin bool) *modelRow {
	r := &modelRow{
		entry: e, subject: e.fields[1], resource: m.pattern(e.fields[2]), action: m.pattern(e.fields[3]),
		object: m.pattern(e.fields[4]), deny: e.fields[5] == "deny", project: project, builtin: builtin,
	}
	m.rows = append(m.rows, r)
	return r
}

func (m *model) addBuiltin() {
	for row := range strings.Lines(strings.TrimSpace(builtinRows)) {
		fields := strings.Split(strings.TrimSpace(row), ", ")
		if fields[0] == "g" {
			m.grants = append(m.grants, grantRow{member: fields[1], role: fields[2]})
			continue
		}
		m.addRow(entry{fields: fields, text: strings.TrimSpace(row)}, "", true)
	}
}

// maxChain is how many g rows casbin follows from a name.
const maxChain = 10

// implicitRoles gives the names that a subject stands for where the rules of a project count.
func (m *model) implicitRoles(subject, project string) map[string]bool {
	roles := map[string]bool{subject: true}
	level := []string{subject}
	for range maxChain {
		var next []string
		for _, g := range m.grants {
			if (g.project == "" || g.project == project) && slices.Contains(level, g.member) && !roles[g.role] {
				roles[g.role] = true
				next = append(next, g.role)
			}
		}
		if level = next; len(level) == 0 {
			break
		}
	}
	return roles
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
func (m *model) takesAway(d *modelRow) bool {
	heirs := m.heirs(d.subject)
	return slices.ContainsFunc(m.rows, func(r *modelRow) bool {
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
func (m *model) meetsRule(r, d *modelRow) bool {
	may := func(a, b *pattern) bool {
		return a.language == nil || b.language == nil || overlaps(a.language, b.language)
	}
	return may(r.resource, d.resource) && may(r.action, d.action) && may(r.object, d.object)
}

// isGranted tells for a group whether Argo CD looks at it at all: it takes those that
// some g row names.
func (m *model) isGranted(subject, project string) bool {
	return slices.ContainsFunc(m.grants, func(g grantRow) bool {
		return g.member == subject && (g.project == "" || g.project == project)
	})
}

// access gives what a subject may use. A role is asked as if it were a person; a
// group counts where a g row names it.
func (m *model) access(subject string, isRole bool) access {
	all := access{}
	for _, project := range append([]string{""}, m.projects...) {
		if !isRole && !m.isGranted(subject, project) {
			continue
		}
		roles := m.implicitRoles(subject, project)
		var allows, denies []*modelRow
		for _, r := range m.rows {
			if !roles[r.subject] || r.project != "" && r.project != project {
				continue
			}
			switch {
			case m.failsOn(r) || r.deny && !r.matchesNothing():
				denies = append(denies, r)
			case r.effect() == "allow":
				allows = append(allows, r)
			}
		}
		for _, r := range allows {
			maps.Copy(all, m.accessOf(r, denies, project))
		}
	}
	for o := range all {
		if o.segment != "*" && all[endpointAccess{o.row, "*"}] {
			delete(all, o)
		}
	}
	return all
}

func (r *modelRow) effect() string { return r.fields[5] }

// matchesNothing reports whether a glob cannot be read, with which the rule matches nothing.
func (r *modelRow) matchesNothing() bool {
	for _, p := range []*pattern{r.resource, r.action, r.object} {
		if p.language == nil && !p.unclear {
			return true
		}
	}
	return false
}

// failsOn reports whether Argo CD fails over a rule: casbin gives an error for an
// expression that does not compile, and an error is a denial of everything on which
// it comes so far.
func (m *model) failsOn(r *modelRow) bool {
	return m.regex && (r.resource.language == nil || r.action.language == nil || r.object.language == nil)
}

// accessOf gives what an allow opens that no deny closes, for the objects of a project
// with rules of its own, or for all the others.
func (m *model) accessOf(r *modelRow, denies []*modelRow, project string) access {
	simple := len(denies) == 0 && len(m.projects) == 0
	if simple && m.accessCache[r] != nil {
		return m.accessCache[r]
	}
	found := access{}
	for i := range argocdTable {
		p := &argocdTable[i]
		if len(p.endpoints) == 0 || !m.isEnforced(p) || !m.allows(r, p, denies, project) {
			continue
		}
		for _, row := range p.endpoints {
			segments := []string{"*"}
			if strings.Contains(row, "{name}") || strings.Contains(row, "{app}") {
				segments = r.object.segments(strings.Contains(row, "{app}"))
			}
			if project != "" && p.object == projectObject {
				segments = []string{project} // its rules count for itself, whatever they name
			}
			for _, segment := range segments {
				found[endpointAccess{row, segment}] = true
			}
		}
	}
	if simple {
		m.accessCache[r] = found
	}
	return found
}

// isEnforced reports whether Argo CD asks for a permission with the settings that it has.
func (m *model) isEnforced(p *permission) bool {
	setting, not := strings.CutPrefix(p.setting, "!")
	return setting == "" || m.settings[setting] != not
}

// allows reports whether there is an action on an object that a rule allows and no
// deny takes away.
func (m *model) allows(r *modelRow, p *permission, denies []*modelRow, project string) bool {
	if !m.matches(r, p) {
		return false
	}
	var overlapping []*modelRow
	for _, d := range denies {
		if d.resource.language == nil || overlaps(d.resource.language, m.word(p.resource)) {
			overlapping = append(overlapping, d)
		}
	}
	required, known := m.objects(p, project)
	if len(overlapping) == 0 && len(required) == 1 && len(known) == 0 {
		return true
	}
	if len(overlapping)+len(known) > 60 {
		m.undecided = append(m.undecided, r)
		return false
	}
	// A deny takes away what both its action and its object match; one that cannot be
	// read takes away all that it might.
	var actions, objects []*language
	var everythingDenied uint64
	for i, d := range overlapping {
		actions = append(actions, languageOf(d.action))
		if d.action.language == nil {
			objects = append(objects, anyLanguage)
		} else {
			objects = append(objects, languageOf(d.object))
		}
		if d.resource.language == nil {
			everythingDenied |= 1 << i
		}
	}
	if everythingDenied != 0 {
		return false
	}
	var byAction []uint64
	complete := searchWords([]*language{r.action.language, m.language(p.action)}, actions,
		func(membership uint64) bool {
			byAction = append(byAction, membership)
			return true
		})
	allowed := false
	excluded := uint64(1<<len(known)-1) << len(objects) // objects of projects that are looked at on their own
	all := append([]*language{r.object.language}, required...)
	complete = searchWords(all, append(objects, known...), func(membership uint64) bool {
		allowed = membership&excluded == 0 &&
			slices.ContainsFunc(byAction, func(a uint64) bool { return a&membership == 0 })
		return !allowed
	}) && complete
	if !complete && !allowed {
		m.undecided = append(m.undecided, r)
	}
	return allowed
}

func languageOf(p *pattern) *language {
	if p.language == nil {
		return anyLanguage
	}
	return p.language
}

var anyLanguage = mustLanguage(anyLetter + `*`)

// objects gives the languages of the objects that Argo CD can ask about: of the
// project, or of none of those that have rules of their own.
func (m *model) objects(p *permission, project string) (required, outside []*language) {
	required = []*language{m.language(p.object)}
	inProject := func(name string) *language {
		switch p.object {
		case appObject, urlObject:
			return m.language(quoteExpression(name) + `/` + anyLetter + `*`)
		case projectObject:
			return m.language(quoteExpression(name))
		}
		return nil
	}
	if project != "" {
		if l := inProject(project); l != nil && p.resource != "write-repositories" {
			return append(required, l), nil
		}
		return append(required, emptyLanguage), nil
	}
	for _, name := range m.projects {
		if l := inProject(name); l != nil && p.resource != "write-repositories" {
			outside = append(outside, l)
		}
	}
	return required, outside
}

var emptyLanguage = mustLanguage(`[^\x00-\x{10FFFF}]`)

// matches reports whether a rule matches something that Argo CD asks for by a
// permission, whatever other rules say.
func (m *model) matches(r *modelRow, p *permission) bool {
	return m.patternMatches(r.resource, "", p.resource) && m.patternMatches(r.action, p.action, "") &&
		m.patternMatches(r.object, p.object, "")
}

func (m *model) patternMatches(p *pattern, expression, word string) bool {
	if p.language == nil {
		return false
	}
	key := p.text + "\x00" + expression + "\x00" + word
	some, known := m.matchCache[key]
	if !known {
		lang := m.language(expression)
		if word != "" {
			lang = m.word(word)
		}
		some = overlaps(p.language, lang)
		m.matchCache[key] = some
	}
	return some
}

func (m *model) word(word string) *language { return m.language(quoteExpression(word)) }

// isMeaningful reports whether a rule allows something that Argo CD asks for, an endpoint
// of its own or not.
func (m *model) isMeaningful(r *modelRow) bool {
	return slices.ContainsFunc(argocdTable, func(p permission) bool {
		if r.project != "" {
			return m.allows(r, &p, nil, r.project)
		}
		return m.matches(r, &p)
	})
}
