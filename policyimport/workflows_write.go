package policyimport

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
)

// workflowsWriter writes the policy for ServiceAccounts.
type workflowsWriter struct {
	Options
	d    *draft
	all  []candidate // by precedence
	kube *kubeAccess

	viewer string // the role for accounts of whose rights nothing is known
	pages  string // the role of the pages
}

func (w *workflowsWriter) lose(at fault.Position, what, mend string) {
	w.d.left.Add(at, legible(what), legible(mend))
}

func (w *workflowsWriter) write() {
	prefix := w.RolePrefix
	if prefix == "" {
		prefix = "workflows-" // two imports without a prefix would have one role of pages
	}
	w.viewer, w.pages = w.unused(rolePrefix+prefix+"viewer"), w.unused(rolePrefix+prefix+"pages")
	w.judge()
	w.heading()
	for i := range w.all {
		w.d.blank()
		w.writeRule(&w.all[i])
	}
	w.ties()
	w.d.blank()
	w.writeAccess()
}

func (w *workflowsWriter) unused(name string) string {
	if slices.ContainsFunc(w.all, func(c candidate) bool { return c.role == name }) {
		return w.unused(name + "-2")
	}
	return name
}

func (w *workflowsWriter) heading() {
	var accounts []ServiceAccount
	for _, c := range w.all {
		accounts = append(accounts, ServiceAccount{c.role, w.Namespace, c.name})
	}
	w.d.comment("authgate:import workflows")
	w.d.comment("From Argo Workflows: ServiceAccounts with %s.", ruleKey)
	w.d.comment("")
	w.d.comment("These rows say who has which role. The upstream needs, in authgate.yaml:")
	w.d.comment("")
	w.d.comment("  - name: %s", w.Upstream)
	for text := range strings.Lines(AccountsYAML(accounts)) {
		w.d.comment("    %s", strings.TrimRight(text, "\n"))
	}
	w.d.comment("")
	w.d.comment("The first role that a person has wins, as the highest precedence did.")
}

// judge takes the rules apart, from the highest precedence down. People whom an account
// above takes are no matter to one below. Where it is not known whom it takes, what is
// below it would give them more than argo-server does, and waits as comments.
func (w *workflowsWriter) judge() {
	var taken []atom
	var barred []*candidate // whose rules were not carried over whole
	for i := 0; i < len(w.all); {
		same := i
		for same < len(w.all) && w.all[same].precedence == w.all[i].precedence {
			same++
		}
		level := w.all[i:same]
		for j := range level {
			w.judgeOne(&level[j], taken, barred)
		}
		for j := range level {
			if c := &level[j]; c.waiting == "" {
				taken = append(taken, c.atoms...)
			}
			if c := &level[j]; c.broken != nil || len(c.left) > 0 {
				barred = append(barred, c)
			}
		}
		i = same
	}
}

func (w *workflowsWriter) judgeOne(c *candidate, taken []atom, barred []*candidate) {
	f, err := parseRule(c.rule)
	if err != nil {
		c.broken, _ = err.(*ruleError)
		return
	}
	c.means = f.above(taken)
	for _, conj := range c.means {
		switch {
		case len(conj) == 0:
			c.atoms = append(c.atoms, everyone)
		case len(conj) == 1 && !conj[0].not && conj[0].kind != unknownAtom && notHere(conj[0].atom) == "":
			c.atoms = append(c.atoms, conj[0].atom)
		default:
			c.left = append(c.left, conj)
		}
	}
	for _, above := range barred {
		if above.broken != nil || above.left.meets(c.means) {
			c.waiting = above.name
			return
		}
	}
}

// held reports whether some row grants the role.
func (c *candidate) held() bool { return c.waiting == "" && len(c.atoms) > 0 }

// everyone stands for all who signed in.
var everyone = atom{kind: everyoneAtom, text: authenticated}

// subject gives who an atom is in a row.
func (a atom) subject() string {
	switch a.kind {
	case teamsAtom:
		return a.text + "*"
	case emailAtom:
		return "user:" + a.text
	case domainAtom:
		return "user:*@" + a.text
	}
	return a.text
}

// notHere says why no row can name an atom, though it names a group or a person in a
// rule: the name means something else here, or the policy's own reader refuses it.
func notHere(a atom) string {
	switch {
	case a == everyone:
		return ""
	case placeholder(a.text) != "":
		return quote(placeholder(a.text)) + unfilled + "; " + giveFilled + "authgate policy import workflows -"
	case a.kind <= teamsAtom && hasReserved(a.text):
		return quote(a.text) + " would mean something else here, where no group may begin so"
	case a.kind <= teamsAtom && strings.Contains(a.text, "*"):
		return "a * in " + quote(a.text) + " stands for itself in a rule, and for every team here"
	}
	row := written([]string{"g", a.subject(), "role:x"}) + "\np, role:x, x, /, GET, allow\n"
	_, err := policy.Load([]policy.Source{{Name: policyName, Data: []byte(row)}}, nil)
	var faults fault.Faults
	switch {
	case errors.As(err, &faults):
		return legible(faults[0].What)
	case err != nil:
		return legible(err.Error())
	}
	return ""
}

// ties reports accounts among which argo-server chooses by chance, where both may fit
// one person.
func (w *workflowsWriter) ties() {
	for i := 1; i < len(w.all); i++ {
		b := w.all[i]
		for _, a := range w.all[:i] {
			if a.precedence != b.precedence || len(a.atoms) == 0 || len(b.atoms) == 0 || a.waiting != "" || b.waiting != "" ||
				!asFormula(a.atoms).meets(asFormula(b.atoms)) {
				continue
			}
			w.lose(b.rankAt, a.name+" and "+b.name+" have the same precedence, "+strconv.Itoa(a.precedence)+": argo-server "+
				"takes either for people whom both fit",
				"see that serviceAccounts has them in the order that you want")
			break
		}
	}
}

func asFormula(atoms []atom) formula {
	f := formula{}
	for _, a := range atoms {
		if a == everyone {
			return always
		}
		f = append(f, conjunction{{atom: a}})
	}
	return f
}

func (w *workflowsWriter) writeRule(c *candidate) {
	w.d.comment("%s, precedence %d: %s", c.name, c.precedence, c.rule)
	if c.broken != nil {
		w.d.comment("not carried over: %s", c.broken.what)
		mend := "write g, GROUP, " + c.role + " for those who are meant"
		if c.broken.fails {
			mend = "argo-server fails over it, too, and lets in no one whom no account above takes: mend the rule there, " +
				"and import again"
		}
		w.lose(c.in(c.broken.column), "the rule of "+c.name+" is not carried over: "+c.broken.Error(), mend)
		w.d.comment("g, GROUP, %s", c.role)
		return
	}
	for _, a := range c.atoms {
		w.writeAtom(c, a)
	}
	for _, conj := range c.left {
		why := whyNot(conj)
		w.d.comment("not carried over: %s", conj.String())
		w.lose(c.in(columnOf(conj)), "of the rule of "+c.name+" is not carried over "+conj.String()+": "+why,
			"write g, GROUP, "+c.role+" or g, user:EMAIL, "+c.role+" for those who are meant")
	}
	if len(c.left) > 0 && len(c.atoms) == 0 {
		w.d.comment("g, GROUP, %s", c.role)
	}
	if len(c.means) == 0 {
		w.d.note(c.ruleAt, "the rule of "+c.name+" is never true of people whom no account above takes, so no one "+
			"holds "+c.role, "")
	}
}

// writeAtom writes a row, or the comment that it is below a rule that is not known.
func (w *workflowsWriter) writeAtom(c *candidate, a atom) {
	switch {
	case c.waiting != "":
		if a == c.atoms[0] {
			w.lose(c.ruleAt, "the rows of "+c.name+" are comments: argo-server may take "+c.waiting+", which ranks above "+
				"it, for the same people, and its rule is not carried over whole",
				"write rows for "+c.waiting+", then take the # off those of "+c.name)
			w.d.comment("These wait until there are rows for %s, which ranks above.", c.waiting)
		}
		w.d.comment("%s", written([]string{"g", a.subject(), c.role}))
	case a == everyone:
		w.d.row(c.ruleAt, "g", authenticated, c.role)
		w.d.note(c.ruleAt, "everyone who signed in holds "+c.role, "argo-server refused them where a rule before failed, "+
			"as it does for people without groups; narrow the row if that was the fence")
	default:
		w.d.row(c.ruleAt, "g", a.subject(), c.role)
		if a.kind == emailAtom || a.kind == domainAtom {
			w.d.note(c.ruleAt, a.subject()+" has to be a verified address", "argo-server did not ask for that")
		}
	}
}

// whyNot says what of a conjunction no row can say.
func whyNot(c conjunction) string {
	switch {
	case slices.ContainsFunc(c, func(l literal) bool { return l.kind == unknownAtom }):
		return "rows know groups and e-mail addresses, and no more"
	case len(c) == 1 && !c[0].not:
		return notHere(c[0].atom)
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

// in gives the place of a column of the rule, where the file shows the rule as it is.
func (c *candidate) in(column int) fault.Position {
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
	for _, c := range w.all {
		rows, missing, known := w.kube.opens(w.Namespace, c.name)
		for _, b := range missing {
			w.lose(b.at, "the binding "+b.name+" gives "+c.name+" "+b.called+", which is not among the files",
				"give it, too: kubectl get role,clusterrole -A -o yaml")
		}
		if !known {
			unknown = append(unknown, c)
			continue
		}
		pages = true
		w.d.comment("What the bindings of %s let it do.", c.name)
		for _, row := range merged(rows) {
			methods, path, _ := strings.Cut(row, " ")
			w.d.make("p", c.role, w.Upstream, path, methods, "allow")
		}
		w.d.make("g", c.role, w.pages)
		w.d.blank()
	}
	if pages {
		w.d.comment("The pages, and what they ask about themselves.")
		for _, row := range workflowsPages {
			methods, path, _ := strings.Cut(row, " ")
			w.d.make("p", w.pages, w.Upstream, path, methods, "allow")
		}
		w.d.blank()
	}
	if len(unknown) > 0 {
		w.writeViewer(unknown)
	}
}

// merged takes out what stands twice, and what a row for all namespaces has anyway.
func merged(rows []string) []string {
	var kept []string
	for _, row := range rows {
		if !slices.Contains(kept, row) {
			kept = append(kept, row)
		}
	}
	return kept
}

// writeViewer opens what viewers need, which is less than anyone had: nothing in the
// files says what these accounts may do.
func (w *workflowsWriter) writeViewer(unknown []candidate) {
	w.d.comment("These accounts have no binding among the files. They may read; who is to do more")
	w.d.comment("needs more rows. Those for submitters are in examples/argo-workflows/policy.csv; to")
	w.d.comment("open everything take a # off:")
	for _, c := range unknown {
		w.d.comment("p, %s, %s, /**, *, allow", c.role, w.Upstream)
	}
	w.d.blank()
	subjects := []string{}
	names := make([]string, 0, len(unknown))
	for _, c := range unknown {
		names = append(names, c.name)
		if c.held() {
			w.d.make("g", c.role, w.viewer)
			subjects = []string{w.viewer}
		}
	}
	for _, c := range unknown { // a role that no one holds has to load with a group and without one
		if !c.held() {
			subjects = append(subjects, c.role)
		}
	}
	for _, subject := range subjects {
		for row := range strings.Lines(workflowsViewer) {
			fields := strings.Split(strings.TrimSpace(row), ", ")
			w.d.make("p", subject, w.Upstream, fields[3], fields[4], fields[5])
		}
	}
	w.d.note(unknown[0].file.at(unknown[0].node), strings.Join(names, ", ")+": nothing in the files says what the "+
		"account may do, so its role may read and no more",
		"give the Roles and bindings, too: kubectl get role,rolebinding,clusterrole,clusterrolebinding -A -o yaml; or "+
			"take a # off in the policy")
}
