package policy

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
)

// yaml reads the form that groups cases by person. It goes through the nodes,
// because the library's own decoding stops at the first mistake and takes words
// for dates and numbers.
func (r *caseReader) yaml(data []byte) {
	root, ok := r.document(data)
	if !ok {
		return
	}
	top, sure := r.mapping(root, "cases")
	list, written := top["cases"]
	switch {
	case written:
	case sure:
		r.faults.Add(r.position(root), "the file has no cases", "write cases: and a list of them")
		fallthrough
	default:
		return
	}
	for _, item := range r.list("cases", list) {
		if r.full {
			return
		}
		r.group(item)
	}
}

// document gives the one document that the file has to be.
func (r *caseReader) document(data []byte) (*yaml.Node, bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && (len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null") {
		r.faults.Add(r.whole(), "the file is empty", "write cases: and a list of them")
		return nil, false
	}
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			r.faults.Add(r.position(&second), "a second document begins here", "keep one, and no --- behind it")
			return nil, false
		}
	}
	if !errors.Is(err, io.EOF) {
		r.syntax(err)
		return nil, false
	}
	return document.Content[0], true
}

var (
	yamlLine = regexp.MustCompile(`^line (\d+): `)
	// What the library's parser says; it counts lines from 0, its scanner from 1.
	yamlParser = regexp.MustCompile(`^did not find expected (node content|key|'|<)`)
)

func (r *caseReader) syntax(err error) {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	at, mend := r.whole(), ""
	if m := yamlLine.FindStringSubmatch(what); m != nil {
		at.Line, _ = strconv.Atoi(m[1]) // digits; a number too long leaves no line
		what = what[len(m[0]):]
		mend = "the mistake is on this line or not far from it"
		if yamlParser.MatchString(what) {
			at.Line++
		}
	}
	r.faults.Add(at, "not valid YAML: "+what, mend)
}

// group reads one item of cases: what one person may and may not.
func (r *caseReader) group(item *yaml.Node) {
	keys, sure := r.mapping(item, "name", "who", "only", "allow", "deny")
	if keys["only"] != nil {
		r.invariant(item, keys)
		return
	}
	var c Case
	known := false // who asks
	if who, written := keys["who"]; written {
		c, known = r.person(r.who("who", who))
	} else if sure {
		r.faults.Add(r.position(item), "the case does not say who asks", "add who: with a group, role:NAME, user:EMAIL or system:anonymous")
	}
	if name, written := keys["name"]; written {
		f, _ := r.text("name", name)
		c.Name = f.text
	}
	if sure && keys["allow"] == nil && keys["deny"] == nil {
		r.faults.Add(r.position(item), "the case expects nothing", "add allow: or deny: with a list such as [GET argocd:/]")
	}
	effects := []Effect{Allow, Deny}
	if allow, deny := keys["allow"], keys["deny"]; allow != nil && deny != nil && deny.Line < allow.Line {
		slices.Reverse(effects) // cases come in the order of the file
	}
	for _, effect := range effects {
		list, written := keys[effect.String()]
		if !written {
			continue
		}
		c.Expect = effect
		for _, request := range r.list(effect.String(), list) {
			if r.full {
				return
			}
			if asked, sound := r.request(c, request); sound && known {
				r.keep(asked)
			}
		}
	}
}

// who reads one subject, or a list of them.
func (r *caseReader) who(key string, n *yaml.Node) []field {
	nodes := []*yaml.Node{n}
	if aliased(n).Kind == yaml.SequenceNode {
		nodes = r.list(key, n)
	}
	var named []field
	for _, n := range nodes {
		if f, ok := r.text(key, n); ok {
			named = append(named, f)
		}
	}
	return named
}

// request reads METHOD TARGET, or a mapping that names the row beside it.
func (r *caseReader) request(c Case, n *yaml.Node) (Case, bool) {
	var rule field
	ruled := true
	if aliased(n).Kind == yaml.MappingNode {
		keys, sure := r.mapping(n, "request", "rule")
		if at, written := keys["rule"]; written {
			rule, ruled = r.text("rule", at)
		}
		request, written := keys["request"]
		if !written {
			if sure {
				r.faults.Add(r.position(n), "the request is missing", "add request: such as GET argocd:/")
			}
			return c, false
		}
		n = request
	}
	method, name, ok := r.methodAndTarget(n)
	if !ok {
		return c, false
	}
	c, ok = r.ask(c, method, name)
	if ruled {
		c.Rule, ruled = r.expected(rule, c.Expect)
	}
	return c, ok && ruled
}

func (r *caseReader) methodAndTarget(n *yaml.Node) (method, name field, ok bool) {
	f, ok := r.text("request", n)
	if !ok {
		return f, f, false
	}
	first, rest, two := strings.Cut(f.text, " ")
	if rest = strings.TrimLeft(rest, " "); !two {
		return f, f, r.refuse(f, quote(f.text)+" is not METHOD TARGET", "write such as GET argocd:/api/v1/applications")
	}
	return field{text: first, at: f.at}, field{text: rest, at: f.at}, true
}

// mapping reads a mapping that has no keys but these. It is sure that a key is
// missing only where it understood all that is there.
func (r *caseReader) mapping(n *yaml.Node, known ...string) (found map[string]*yaml.Node, sure bool) {
	real := aliased(n)
	if real.Kind != yaml.MappingNode {
		r.faults.Add(r.position(n), "here must be a mapping with "+strings.Join(known, ", ")+", not "+kindOf(real), "")
		return nil, false
	}
	found, sure = map[string]*yaml.Node{}, true
	for i := 0; i+1 < len(real.Content); i += 2 {
		key, value := real.Content[i], real.Content[i+1]
		what, mend := "", ""
		switch {
		case !slices.Contains(known, key.Value) || key.Kind != yaml.ScalarNode:
			what = "unknown key " + quote(key.Value)
			mend = orElse(fault.DidYouMean(key.Value, known), "known here: "+strings.Join(known, ", "))
		case found[key.Value] != nil:
			what, mend = "the key "+quote(key.Value)+" is written twice", "keep one"
		case aliased(value).ShortTag() == "!!null" && aliased(value).Kind == yaml.ScalarNode:
			what, mend = key.Value+" is empty", "write a value, or remove the line"
		}
		if what != "" {
			r.faults.Add(r.position(key), what, mend)
			sure = false
			continue
		}
		found[key.Value] = value
	}
	return found, sure
}

func (r *caseReader) list(name string, n *yaml.Node) []*yaml.Node {
	real := aliased(n)
	switch {
	case real.Kind != yaml.SequenceNode:
		r.faults.Add(r.position(n), name+" must be a list, not "+kindOf(real), "write [...], or one line with - for each")
		return nil
	case len(real.Content) == 0:
		r.faults.Add(r.position(n), name+" is an empty list", "write what you expect, or remove it")
	}
	return real.Content
}

// text reads a string. Whatever YAML takes for a number or a date has to be in
// quotes to be one.
func (r *caseReader) text(name string, n *yaml.Node) (field, bool) {
	real := aliased(n)
	f := field{text: real.Value, at: r.position(n)}
	if real.Kind != yaml.ScalarNode || real.ShortTag() != "!!str" {
		mend := ""
		if real.Kind == yaml.ScalarNode {
			mend = "put it in quotes"
		}
		return f, r.refuse(f, name+" must be a string, not "+kindOf(real), mend)
	}
	if strings.Trim(f.text, blanks) == "" {
		return f, r.refuse(f, name+" is empty", "write a value")
	}
	if _, what, mend := unprintable(f.text); what != "" {
		return f, r.refuse(f, strings.Replace(what, "the line", name, 1), mend)
	}
	return f, true
}

// aliased follows an alias. Aliases lead to values, never to further aliases.
func aliased(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!str":
		return "a string"
	case n.ShortTag() == "!!null":
		return "nothing"
	}
	return "what YAML takes for " + strings.TrimPrefix(n.ShortTag(), "!!")
}

func (r *caseReader) position(n *yaml.Node) fault.Position {
	return fault.Position{File: r.file, Line: n.Line, Column: n.Column}
}
