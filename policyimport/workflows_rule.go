package policyimport

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// people are those for whom a rule is true: any of them.
type people struct {
	everybody bool
	groups    []string
	emails    []string
}

// parseRule reads the expressions that say no more than which groups and which
// e-mail addresses: 'x' in groups, email == 'x', email in ['x', 'y'], true, and
// these joined by ||. argo-server runs the whole language of expr-lang/expr on
// them; all that is not known here is refused, since a rule that is half
// understood lets in somebody else.
func parseRule(text string) (people, error) {
	r := &ruleReader{}
	if err := r.split(text); err != nil {
		return people{}, err
	}
	if err := r.any(0); err != nil {
		return people{}, err
	}
	if word := r.peek(); word.text != "" {
		return people{}, r.unexpected(word)
	}
	return r.people, nil
}

// token is a word, a sign or a string of a rule.
type token struct {
	text   string // of a string: without its quotes
	quoted bool
}

type ruleReader struct {
	tokens []token
	people people
}

const maxDepth = 50 // of parentheses

func (r *ruleReader) split(text string) error {
	for rest := strings.TrimLeft(text, " \t\r\n"); rest != ""; rest = strings.TrimLeft(rest, " \t\r\n") {
		switch c := rest[0]; {
		case c == '\'' || c == '"' || c == '`':
			s, after, err := cutString(rest[1:], c)
			if err != nil {
				return err
			}
			r.tokens, rest = append(r.tokens, token{s, true}), after
		case isLetter(rest[0]):
			n := 1
			for n < len(rest) && (isLetter(rest[n]) || '0' <= rest[n] && rest[n] <= '9') {
				n++
			}
			r.tokens, rest = append(r.tokens, token{text: rest[:n]}), rest[n:]
		default:
			n := 1
			if slices.Contains([]string{"==", "||", "&&", "!=", "//", "/*"}, rest[:min(2, len(rest))]) {
				n = 2
			}
			r.tokens, rest = append(r.tokens, token{text: rest[:n]}), rest[n:]
		}
	}
	if len(r.tokens) == 0 {
		return errors.New("the rule is empty, with which argo-server lets nobody in")
	}
	return nil
}

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80 || c == '$'
}

// cutString reads a string up to its end. Of the escapes it knows those that stand
// for themselves.
func cutString(text string, end byte) (s, after string, err error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == end:
			return b.String(), text[i+1:], nil
		case c < ' ' || c == 0x7f:
			return "", "", errors.New("a string of the rule holds a control character")
		case c == '\\' && end != '`':
			i++
			if i == len(text) || strings.IndexByte(`\'"`, text[i]) < 0 {
				return "", "", errors.New("a string of the rule holds an escape that is not understood")
			}
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a string of the rule does not end")
}

func (r *ruleReader) peek() token {
	if len(r.tokens) == 0 {
		return token{}
	}
	return r.tokens[0]
}

func (r *ruleReader) next() token {
	t := r.peek()
	r.tokens = r.tokens[min(1, len(r.tokens)):]
	return t
}

// take goes on if these words and signs stand next.
func (r *ruleReader) take(words ...string) bool {
	if len(r.tokens) < len(words) {
		return false
	}
	for i, word := range words {
		if t := r.tokens[i]; t.quoted || t.text != word {
			return false
		}
	}
	r.tokens = r.tokens[len(words):]
	return true
}

// any reads what is joined by ||.
func (r *ruleReader) any(depth int) error {
	if depth > maxDepth {
		return errors.New("the parentheses of the rule go too deep")
	}
	for {
		if err := r.test(depth); err != nil {
			return err
		}
		if !r.take("||") && !r.take("or") {
			return nil
		}
	}
}

func (r *ruleReader) test(depth int) error {
	switch {
	case r.take("("):
		if err := r.any(depth + 1); err != nil {
			return err
		}
		return r.want(")")
	case r.take("true"):
		r.people.everybody = true
		return nil
	case r.take("false"):
		return nil
	case r.take("any", "(", "groups", ","): // any(groups, # == 'x'), with or without braces
		braces := r.take("{")
		if !r.take("#") {
			return r.unexpected(r.peek())
		}
		if err := r.oneOf(&r.people.groups); err != nil {
			return err
		}
		if braces {
			if err := r.want("}"); err != nil {
				return err
			}
		}
		return r.want(")")
	case r.take("email"):
		return r.oneOf(&r.people.emails)
	case r.peek().quoted:
		name := r.next().text
		switch {
		case r.take("in", "groups"):
			r.people.groups = append(r.people.groups, name)
			return nil
		case r.take("==", "email"):
			r.people.emails = append(r.people.emails, name)
			return nil
		}
	}
	return r.unexpected(r.peek())
}

// oneOf reads == 'x' and in ['x', 'y'].
func (r *ruleReader) oneOf(into *[]string) error {
	name := func() error {
		if !r.peek().quoted {
			return r.unexpected(r.peek())
		}
		*into = append(*into, r.next().text)
		return nil
	}
	if r.take("==") {
		return name()
	}
	if !r.take("in", "[") {
		return r.unexpected(r.peek())
	}
	for !r.take("]") {
		if err := name(); err != nil {
			return err
		}
		if !r.take(",") {
			return r.want("]")
		}
	}
	return nil
}

func (r *ruleReader) want(sign string) error {
	if r.take(sign) {
		return nil
	}
	return r.unexpected(r.peek())
}

// unexpected says why a rule is not carried over, by the word that stops it.
func (r *ruleReader) unexpected(t token) error {
	switch {
	case t.quoted:
		return fmt.Errorf("the string %s stands where the rule is not understood", quote(t.text))
	case t.text == "&&" || t.text == "and":
		return errors.New("the rule wants two things at once (" + t.text + "), and rows are each enough alone")
	case t.text == "!" || t.text == "!=" || t.text == "not":
		return errors.New("the rule says who is not meant (" + t.text + "), and rows say who is")
	case slices.Contains([]string{"startsWith", "endsWith", "matches", "contains"}, t.text):
		return errors.New("the rule compares a part of a name (" + t.text + "), and rows name groups and people whole")
	case slices.Contains([]string{"sub", "name", "preferred_username", "iss", "exp", "service_account_name", "service_account_namespace"}, t.text):
		return errors.New("the rule asks for " + t.text + ", and rows know groups and e-mail addresses")
	case t.text == "":
		return errors.New("the rule breaks off")
	}
	return errors.New("the rule is not understood at " + quote(t.text))
}
