package config

import (
	"reflect"
	"strings"
)

// pending is a key of the tree that this version does not act on. It is refused
// rather than ignored: who writes it relies on it.
type pending struct {
	key  string // a [] follows the name of a list whose items are walked
	keep any    // the value that may stand there, empty lists aside
	mend string
}

// pendings loses a line with each feature that comes.
func pendings() []pending {
	return []pending{
		{"issuer.audiences", none{}, "leave it out"},
		{"bearer", none{}, "leave it out"},
		{"upstreams[].identity.credential", CredentialNone, "write none; the identity headers are sent"},
		{"upstreams[].identity.serviceAccounts", none{}, "leave it out"},
	}
}

// none is what may stand in a list: nothing.
type none struct{}

func (p pending) allows(value reflect.Value) bool {
	if _, isList := p.keep.(none); isList {
		return value.Len() == 0
	}
	return value.Interface() == p.keep
}

// subject names a word; what is longer may be a secret.
func (p pending) subject(at place) string {
	if _, isWord := p.keep.(choice); isWord {
		return at.value.Value
	}
	return "this key"
}

func checkPending(c *Config, at place) {
	for _, p := range pendings() {
		p.check(reflect.ValueOf(c).Elem(), at, strings.Split(p.key, "."))
	}
}

// check follows the rest of the key down the tree.
func (p pending) check(value reflect.Value, at place, rest []string) {
	if len(rest) > 0 {
		name, isList := strings.CutSuffix(rest[0], "[]")
		f, _ := fieldsOf(value.Type()).byName(name)
		value, at = value.Field(f.index), at.key(name)
		if !isList {
			p.check(value, at, rest[1:])
			return
		}
		for i := range value.Len() {
			p.check(value.Index(i), at.item(i), rest[1:])
		}
		return
	}
	switch {
	case !at.written() || p.allows(value):
	default:
		at.refuse(p.subject(at)+" is not supported yet", p.mend)
	}
}
