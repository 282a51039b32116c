package policy

import (
	"slices"
	"strings"
)

const (
	anyMethod       = "*"
	methodSeparator = "|"
)

// matchMethod reports whether the methods of a row cover a request's method. Who
// may GET may HEAD (RFC 9110, 9.3.2: the same without the content), and who may
// not, may not.
func matchMethod(method, methods string) bool {
	if methods == anyMethod {
		return true
	}
	for m := range strings.SplitSeq(methods, methodSeparator) {
		if m == method || m == "GET" && method == "HEAD" {
			return true
		}
	}
	return false
}

// checkMethods holds the methods of a row to those that requests come with.
func checkMethods(methods string) (message, hint string) {
	if methods == anyMethod {
		return "", ""
	}
	var seen []string
	for m := range strings.SplitSeq(methods, methodSeparator) {
		switch trimmed := strings.Trim(m, whitespace); {
		case m == "":
			return "method " + quote(methods) + " has an empty part", "write GET, or GET|POST, or * for all"
		case trimmed != m:
			return "method " + quote(methods) + " holds a blank", "write GET|POST without blanks"
		case m == anyMethod:
			return "method " + quote(methods) + " has * beside others", `write "*" alone`
		case slices.Contains(seen, m):
			return "method " + quote(methods) + " names " + m + " twice", "name it once"
		case isMethod(m):
			seen = append(seen, m)
		case isMethod(strings.ToUpper(m)):
			return "method " + quote(m) + " is not in upper case", "write " + strings.ToUpper(m)
		default:
			return "method " + quote(m) + " is not a method", "write GET, or GET|POST, or * for all"
		}
	}
	return "", ""
}

// isMethod is stricter than RFC 9110, 5.6.2, where a method may hold * and | or
// be in lower case: no method in use does, and a slip often does.
func isMethod(m string) bool {
	for i := range len(m) {
		c := m[i]
		switch {
		case 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return m != ""
}

// registeredMethods are those of IANA's HTTP Method Registry.
const registeredMethods = " ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE" +
	" MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI PROPFIND PROPPATCH PUT" +
	" QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL "
