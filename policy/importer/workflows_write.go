package importer

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
)

// workflowsWriter writes the policy for ServiceAccounts.
type workflowsWriter struct {
	Options
	pb       *policyBuilder
	accounts []candidate // by precedence
	access   *kubeAccess

	viewerRole string // the role for accounts of whose rights nothing is known
	pagesRole  string // the role of the pages
}

func (w *workflowsWriter) skip(at fault.Position, message, hint string) {
	w.pb.skipped.Add(at, printable(message), printable(hint))
}

func (w *workflowsWriter) write() {
	prefix := w.RolePrefix
	if prefix == "" {
		prefix = "workflows-" // two imports without a prefix would have one role of pages
	}
	w.viewerRole, w.pagesRole = w.unused(policy.RolePrefix+prefix+"viewer"), w.unused(policy.RolePrefix+prefix+"pages")
	w.evaluateRules()
	w.writeHeading()
	for i := range w.accounts {
		w.pb.blankLine()
		w.writeRule(&w.accounts[i])
	}
	w.reportTies()
	w.pb.blankLine()
	w.writeAccess()
}

func (w *workflowsWriter) unused(name string) string {
	if slices.ContainsFunc(w.accounts, func(c candidate) bool { return c.role == name }) {
		return w.unused(name + "-2")
	}
	return name
}

func (w *workflowsWriter) writeHeading() {
	var entries []ServiceAccount
	for _, c := range w.accounts {
		entries = append(entries, ServiceAccount{c.role, w.Namespace, c.name})
	}
	w.pb.comment("authgate:import workflows")
	w.pb.comment("From Argo Workflows: ServiceAccounts with %s.", ruleKey)
	w.pb.comment("")
	w.pb.comment("These rows say who has which role. The upstream needs, in authgate.yaml:")
	w.pb.comment("")
	w.pb.comment("  - name: %s", w.Upstream)
	for text := range strings.Lines(AccountsYAML(entries)) {
		w.pb.comment("    %s", strings.TrimRight(text, "\n"))
	}
	w.pb.comment("")
	w.pb.comment("The first role that a person has wins, as the highest precedence did.")
}

// evaluateRules takes the rules apart, from the highest precedence down. People whom an account
// above takes are no matter to one below. Where it is not known whom it takes, what is
// below it would give them more than argo-server does, and waits as comments.
func (w *workflowsWriter) evaluateRules() {
	var higher []atom
	var blockers []*candidate // whose rules were not carried over whole
	for i := 0; i < len(w.accounts); {
		same := i
		for same < len(w.accounts) && w.accounts[same].precedence == w.accounts[i].precedence {
			same++
		}
		level := w.accounts[i:same]
		for j := range level {
			w.evaluateRule(&level[j], higher, blockers)
		}
		for j := range level {
			if c := &level[j]; c.blockedBy == "" {
				higher = append(higher, c.atoms...)
			}
			if c := &level[j]; c.parseErr != nil || len(c.inexpressible) > 0 {
				blockers = append(blockers, c)
			}
		}
		i = same
	}
}

func (w *workflowsWriter) evaluateRule(c *candidate, higher []atom, blockers []*candidate) {
	f, err := parseRule(c.rule)
	if err != nil {
		c.parseErr, _ = err.(*ruleError)
		return
	}
	c.formula = f.excluding(higher)
	for _, conj := range c.formula {
		switch {
		case len(conj) == 0:
			c.atoms = append(c.atoms, everyoneSubject)
		case len(conj) == 1 && !conj[0].not && conj[0].kind != unknownAtom && whyInexpressible(conj[0].atom) == "":
			c.atoms = append(c.atoms, conj[0].atom)
		default:
			c.inexpressible = append(c.inexpressible, conj)
		}
	}
	for _, blocker := range blockers {
		if blocker.parseErr != nil || blocker.inexpressible.overlaps(c.formula) {
			c.blockedBy = blocker.name
			return
		}
	}
}

// hasMembers reports whether some row grants the role.
func (c *candidate) hasMembers() bool { return c.blockedBy == "" && len(c.atoms) > 0 }

// everyoneSubject stands for all who signed in.
var everyoneSubject = atom{kind: everyoneAtom, text: policy.Authenticated}

// subject gives who an atom is in a row.
func (a atom) subject() string {
	switch a.kind {
	case teamsAtom:
		return a.text + "*"
	case emailAtom:
		return policy.UserPrefix + a.text
	case domainAtom:
		return policy.DomainWildcard + a.text
	}
	return a.text
}

// whyInexpressible says why no row can name an atom, though it names a group or a person in a
// rule: the name means something else here, or the policy's own reader refuses it.
func whyInexpressible(a atom) string {
	switch {
	case a == everyoneSubject:
		return ""
	case placeholder(a.text) != "":
		return text.Quote(placeholder(a.text)) + unfilled + "; " + giveFilled + "authgate policy import workflows -"
	case a.kind <= teamsAtom && hasReservedPrefix(a.text):
		return text.Quote(a.text) + " would mean something else here, where no group may begin so"
	case a.kind <= teamsAtom && strings.Contains(a.text, "*"):
		return "a * in " + text.Quote(a.text) + " stands for itself in a rule, and for every team here"
	}
	row := csvRow([]string{"g", a.subject(), "role:x"}) + "\np, role:x, x, /, GET, allow\n"
	_, err := policy.Load([]policy.Source{{Name: policyName, Data: []byte(row)}}, nil)
	var faults fault.Faults
	switch {
	case errors.As(err, &faults):
		return printable(faults[0].Message)
	case err != nil:
		return printable(err.Error())
	}
	return ""
}

// reportTies reports accounts among which argo-server chooses by chance, where both may fit
// one person.
func (w *workflowsWriter) reportTies() {
	for i := 1; i < len(w.accounts); i++ {
		b := w.accounts[i]
		for _, a := range w.accounts[:i] {
			if a.precedence != b.precedence || len(a.atoms) == 0 || len(b.atoms) == 0 || a.blockedBy != "" ||
				b.blockedBy != "" ||
				!asFormula(a.atoms).overlaps(asFormula(b.atoms)) {
				continue
			}
			w.skip(b.precedenceAt,
				a.name+" and "+b.name+" have the same precedence, "+strconv.Itoa(a.precedence)+": argo-server "+
					"takes either for people whom both fit",
				"see that serviceAccounts has them in the order that you want")
			break
		}
	}
}

func asFormula(atoms []atom) formula {
	f := formula{}
	for _, a := range atoms {
		if a == everyoneSubject {
			return always
		}
		f = append(f, conjunction{{atom: a}})
	}
	return f
}

func (w *workflowsWriter) writeRule(c *candidate) {
	w.pb.comment("%s, precedence %d: %s", c.name, c.precedence, c.rule)
	if c.parseErr != nil {
		w.pb.comment("not carried over: %s", c.parseErr.message)
		hint := "write g, GROUP, " + c.role + " for those who are meant"
		if c.parseErr.fatal {
			hint = "argo-server fails over it, too, and lets in no one whom no account above takes: fix the " +
				"rule there, " +
				"and import again"
		}
		w.skip(c.position(c.parseErr.column), "the rule of "+c.name+" is not carried over: "+c.parseErr.Error(), hint)
		w.pb.comment("g, GROUP, %s", c.role)
		return
	}
	for _, a := range c.atoms {
		w.writeAtom(c, a)
	}
	for _, conj := range c.inexpressible {
		why := whyConjunctionInexpressible(conj)
		w.pb.comment("not carried over: %s", conj.String())
		w.skip(c.position(columnOf(conj)), "of the rule of "+c.name+" is not carried over "+conj.String()+": "+why,
			"write g, GROUP, "+c.role+" or g, user:EMAIL, "+c.role+" for those who are meant")
	}
	if len(c.inexpressible) > 0 && len(c.atoms) == 0 {
		w.pb.comment("g, GROUP, %s", c.role)
	}
	if len(c.formula) == 0 {
		w.pb.note(c.ruleAt, "the rule of "+c.name+" is never true of people whom no account above takes, so no one "+
			"holds "+c.role, "")
	}
}

// writeAtom writes a row, or the comment that it is below a rule that is not known.
func (w *workflowsWriter) writeAtom(c *candidate, a atom) {
	switch {
	case c.blockedBy != "":
		if a == c.atoms[0] {
			w.skip(c.ruleAt, "the rows of "+c.name+" are comments: argo-server may take "+c.blockedBy+", which ranks above "+
				"it, for the same people, and its rule is not carried over whole",
				"write rows for "+c.blockedBy+", then take the # off those of "+c.name)
			w.pb.comment("These wait until there are rows for %s, which ranks above.", c.blockedBy)
		}
		w.pb.comment("%s", csvRow([]string{"g", a.subject(), c.role}))
	case a == everyoneSubject:
		w.pb.row(c.ruleAt, "g", policy.Authenticated, c.role)
		w.pb.note(c.ruleAt, "every signed-in user holds "+c.role,
			"argo-server refused them where a rule before failed, "+
				"as it does for people without groups; narrow the row if that was the fence")
	default:
		w.pb.row(c.ruleAt, "g", a.subject(), c.role)
		if a.kind == emailAtom || a.kind == domainAtom {
			w.pb.note(c.ruleAt, a.subject()+" has to be a verified address", "argo-server did not ask for that")
		}
	}
}

// whyConjunctionInexpressible says what of a conjunction no row can say.
func whyConjunctionInexpressible(c conjunction) string {
	switch {
	case slices.ContainsFunc(c, func(l literal) bool { return l.kind == unknownAtom }):
		return "rows know groups and e-mail addresses, and no more"
	case len(c) == 1 && !c[0].not:
		return whyInexpressible(c[0].atom)
	case slices.ContainsFunc(c, func(l literal) bool { return l.not }):
		return "the rule says who is not meant (not), and rows say who is"
	}
	return "the rule wants several things at once (&&), and rows are each enough alone"
}

func columnOf(c conjunction) int {
	for _, l := range c {
		if l.column > 0 {
			return l.column
		}
	}
	return 0
}

// position gives the place of a column of the rule, where the file shows the rule as it is.
func (c *candidate) position(column int) fault.Position {
	at := c.ruleAt
	if column == 0 || at.Line < 1 || at.Line > len(c.file.lines) {
		return at
	}
	first, _, _ := strings.Cut(c.rule, "\n")
	line, start := c.file.lines[at.Line-1], at.Column-1
	if c.ruleNode.Style != 0 && at.Line < len(c.file.lines) &&
		strings.Contains("|>", line[min(start, len(line)-1):min(start+1, len(line))]) {
		at.Line++
		line, start = c.file.lines[at.Line-1], 0
	}
	if i := strings.Index(line[min(start, len(line)):], first); i >= 0 && column <= len([]rune(first)) {
		at.Column = start + i + len(string([]rune(first)[:column-1])) + 1
		return at
	}
	return c.ruleAt
}

// writeAccess opens what each account may do in Kubernetes, as far as the files say it.
func (w *workflowsWriter) writeAccess() {
	var unknown []candidate
	pages := false
	for _, c := range w.accounts {
		rows, missing, known := w.access.endpoints(w.Namespace, c.name)
		for _, b := range missing {
			w.skip(b.at, "the binding "+b.name+" gives "+c.name+" "+b.roleRef+", which is not among the files",
				"give it, too: kubectl get role,clusterrole -A -o yaml")
		}
		if !known {
			unknown = append(unknown, c)
			continue
		}
		pages = true
		w.pb.comment("What the bindings of %s let it do.", c.name)
		for _, row := range dedupe(rows) {
			methods, path, _ := strings.Cut(row, " ")
			w.pb.generate("p", c.role, w.Upstream, path, methods, "allow")
		}
		w.pb.generate("g", c.role, w.pagesRole)
		w.pb.blankLine()
	}
	if pages {
		w.pb.comment("The pages, and what they ask about themselves.")
		for _, row := range workflowsPages {
			methods, path, _ := strings.Cut(row, " ")
			w.pb.generate("p", w.pagesRole, w.Upstream, path, methods, "allow")
		}
		w.pb.blankLine()
	}
	if len(unknown) > 0 {
		w.writeViewer(unknown)
	}
}

// dedupe takes out what stands twice, and what a row for all namespaces has anyway.
func dedupe(rows []string) []string {
	var unique []string
	for _, row := range rows {
		if !slices.Contains(unique, row) {
			unique = append(unique, row)
		}
	}
	return unique
}

// writeViewer opens what viewers need, which is less than anyone had: nothing in the
// files says what these accounts may do.
func (w *workflowsWriter) writeViewer(unknown []candidate) {
	w.pb.comment("These accounts have no binding among the files. They may read; who is to do more")
	w.pb.comment("needs more rows. Those for submitters are in examples/argo-workflows/policy.csv; to")
	w.pb.comment("open everything take a # off:")
	for _, c := range unknown {
		w.pb.comment("p, %s, %s, /**, *, allow", c.role, w.Upstream)
	}
	w.pb.blankLine()
	subjects := []string{}
	names := make([]string, 0, len(unknown))
	for _, c := range unknown {
		names = append(names, c.name)
		if c.hasMembers() {
			w.pb.generate("g", c.role, w.viewerRole)
			subjects = []string{w.viewerRole}
		}
	}
	for _, c := range unknown { // a role that no one holds has to load with a group and without one
		if !c.hasMembers() {
			subjects = append(subjects, c.role)
		}
	}
	for _, subject := range subjects {
		for row := range strings.Lines(workflowsViewer) {
			fields := strings.Split(strings.TrimSpace(row), ", ")
			w.pb.generate("p", subject, w.Upstream, fields[3], fields[4], fields[5])
		}
	}
	w.pb.note(unknown[0].file.at(unknown[0].node), strings.Join(names, ", ")+": nothing in the files says what the "+
		"account may do, so its role may read and no more",
		"give the Roles and bindings, too: kubectl get role,rolebinding,clusterrole,clusterrolebinding -A -o yaml; or "+
			"take a # off in the policy")
}
