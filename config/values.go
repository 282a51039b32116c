package config

import (
	"cmp"
	"net/netip"
	"net/url"
	"reflect"
	"slices"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// decodeValue knows the types that are read from one word.
func decodeValue(at yamlfile.Node, into any) bool {
	switch v := into.(type) {
	case *Secret:
		*v = decodeSecret(at)
	case *Duration:
		parseInto(at, v, "a duration such as 15m", "write a number with a unit, such as 30s", parseDuration)
	case *netip.Prefix:
		parseInto(at, v, `a CIDR such as "10.0.0.0/16"`, "", parseTrustedProxy)
	case **url.URL:
		parseInto(at, v, "a URL", "", parseUpstreamURL)
	case *GroupTemplate:
		parseInto(at, v, `a group such as "ci:{repository}"`, "put it in quotes", parseGroupTemplate)
	case *HeaderTemplate:
		parseInto(at, v, `a value such as "{email}"`, "put it in quotes", parseHeaderTemplate)
	case *URLTemplate:
		parseInto(at, v, "a URL", "put it in quotes", parseURLTemplate)
	case *IdentityHeaders:
		decodeIdentityHeaders(at, v)
	case enum:
		if s, ok := at.String("one of "+text.JoinOr(v.values()), ""); ok {
			decodeEnum(at, reflect.ValueOf(into).Elem(), s, v.values())
		}
	default:
		return false
	}
	return true
}

// enum is a string type that has only some values.
type enum interface{ values() []string }

func decodeEnum(at yamlfile.Node, into reflect.Value, s string, values []string) {
	if slices.Contains(values, s) {
		into.SetString(s)
		return
	}
	at.Reject(text.Quote(s)+" is not known", cmp.Or(fault.DidYouMean(s, values), "write "+text.JoinOr(values)))
}

func parseInto[T any](at yamlfile.Node, into *T, expected, hint string, parse func(string) (T, problem)) {
	s, ok := at.String(expected, hint)
	if !ok {
		return
	}
	parsed, c := parse(s)
	if c.message != "" {
		at.Reject(c.message, c.hint)
		return
	}
	*into = parsed
}

// problem is a fault without a position yet. The zero problem is none.
type problem struct{ message, hint string }

// addTo adds a problem as a fault of a key.
func (c problem) addTo(n yamlfile.Node) {
	if c.message != "" {
		n.AddFault(c.message, c.hint)
	}
}
