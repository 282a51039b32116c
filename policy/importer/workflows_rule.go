package importer

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// ruleError says why a rule cannot be read, and where in it.
type ruleError struct {
	message string
	column  int // in letters, from 1; 0 where there is none

	// fatal: argo-server fails over the rule, too, and then lets in no one whom no rule
	// before it took.
	fatal bool
}

func (e *ruleError) Error() string {
	if e.column > 0 {
		return fmt.Sprintf("%s (column %d of the rule)", e.message, e.column)
	}
	return e.message
}

// parseRule reads a rule in its own language, as argo-server does (expr-lang/expr),
// and gives what it says of groups and e-mail addresses. What it asks beyond them is
// an unknown atom with the words of the rule.
func parseRule(text string) (formula, error) {
	if strings.TrimSpace(text) == "" {
		return nil, &ruleError{message: "the rule is empty", fatal: true}
	}
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, doesNotCompile(err)
	}
	r := &ruleReader{}
	f := r.boolean(tree.Node)
	switch {
	case r.err != nil:
		return nil, r.err
	case f == nil:
		return nil, &ruleError{message: "the rule is too large to be taken apart"}
	}
	if err := checkTypes(tree); err != nil {
		return nil, err
	}
	return simplified(f), nil
}

type ruleReader struct {
	err         *ruleError
	inPredicate bool // inside any(groups, ...), where # is a group
}

// fail notes what makes argo-server fail.
func (r *ruleReader) fail(n ast.Node, message string) formula {
	if r.err == nil {
		r.err = &ruleError{message: message, column: n.Location().From + 1, fatal: true}
	}
	return never
}

func (r *ruleReader) unknown(n ast.Node) formula {
	column := n.Location().From + 1
	text := fmt.Sprintf("%s (column %d of the rule)", n.String(), column)
	return formula{{{atom: atom{unknownAtom, text}, column: column}}}
}

func (r *ruleReader) boolean(n ast.Node) formula {
	switch n := n.(type) {
	case *ast.BoolNode:
		return boolFormula(n.Value)
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			return r.negate(n.Node)
		}
	case *ast.BinaryNode:
		return r.binary(n)
	case *ast.ConditionalNode:
		if canFail(n.Cond) {
			return r.unknown(n)
		}
		cond, otherwise := r.boolean(n.Cond), r.negate(n.Cond)
		return r.or(r.and(cond, r.boolean(n.Exp1)), r.and(otherwise, r.boolean(n.Exp2)))
	case *ast.BuiltinNode:
		return r.builtin(n)
	case *ast.PredicateNode:
		return r.boolean(n.Node)
	case *ast.IdentifierNode:
		if _, known := claims[n.Value]; !known {
			return r.fail(n, "the rule asks for "+n.Value+", which argo-server does not know")
		}
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.ArrayNode, *ast.MapNode, *ast.NilNode:
		return r.fail(n, "the rule is no truth at "+n.String())
	}
	return r.unknown(n)
}

func boolFormula(value bool) formula {
	if value {
		return always
	}
	return never
}

func (r *ruleReader) negate(n ast.Node) formula {
	f := r.boolean(n)
	if f == nil {
		return nil
	}
	return not(f)
}

func (r *ruleReader) and(a, b formula) formula {
	if a == nil || b == nil {
		return nil
	}
	return and(a, b)
}

func (r *ruleReader) or(a, b formula) formula {
	if a == nil || b == nil {
		return nil
	}
	return or(a, b)
}

func (r *ruleReader) binary(n *ast.BinaryNode) formula {
	switch n.Operator {
	case "&&", "and", "||", "or":
		left, right := r.boolean(n.Left), r.boolean(n.Right)
		switch {
		case canFail(n.Left): // what follows is not reached
			return r.unknown(n)
		case n.Operator == "&&" || n.Operator == "and":
			return r.and(left, right)
		}
		return r.or(left, right)
	case "==", "!=":
		f := r.equal(n)
		if n.Operator == "!=" && f != nil {
			return not(f)
		}
		return f
	case "in":
		return r.in(n)
	case "startsWith", "endsWith", "matches", "contains":
		return r.substring(n)
	case ">", ">=", "<":
		return r.count(n)
	}
	return r.unknown(n)
}

// equal reads email == 'x', # == 'x', and truths that are compared.
func (r *ruleReader) equal(n *ast.BinaryNode) formula {
	left, right := n.Left, n.Right
	if isConstant(left) {
		left, right = right, left
	}
	switch value := right.(type) {
	case *ast.BoolNode:
		if value.Value {
			return r.boolean(left)
		}
		return r.negate(left)
	case *ast.StringNode:
		if s, ok := left.(*ast.StringNode); ok {
			return boolFormula(s.Value == value.Value)
		}
		if f := r.equals(left, value.Value); f != nil {
			return f
		}
	case *ast.IntegerNode:
		if f := r.countOf(left); f != nil && value.Value == 0 {
			return not(f)
		}
	}
	return r.unknown(n)
}

func isConstant(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.BoolNode, *ast.IntegerNode:
		return true
	}
	return false
}

// equals gives what it means that a value is a text, or nil where rows cannot say it.
func (r *ruleReader) equals(n ast.Node, text string) formula {
	lower, ok := n.(*ast.BuiltinNode)
	if ok && lower.Name == "lower" && len(lower.Arguments) == 1 && !r.isElement(lower.Arguments[0]) {
		if strings.ToLower(text) != text {
			return never
		}
		n = lower.Arguments[0] // people are known by addresses in any case
	}
	switch {
	case r.isElement(n):
		return formula{{{atom: atom{groupAtom, text}}}}
	case isClaim(n, "email"):
		return formula{{{atom: atom{emailAtom, text}}}}
	}
	return nil
}

func (r *ruleReader) isElement(n ast.Node) bool {
	p, ok := n.(*ast.PointerNode)
	return ok && r.inPredicate && p.Name == ""
}

func isClaim(n ast.Node, name string) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && id.Value == name
}

// in reads 'x' in groups and email in ['x', 'y'].
func (r *ruleReader) in(n *ast.BinaryNode) formula {
	if s, ok := n.Left.(*ast.StringNode); ok && isClaim(n.Right, "groups") {
		return formula{{{atom: atom{groupAtom, s.Value}}}}
	}
	list, ok := n.Right.(*ast.ArrayNode)
	if !ok {
		return r.unknown(n)
	}
	some := never
	for _, item := range list.Nodes {
		s, ok := item.(*ast.StringNode)
		if !ok {
			return r.unknown(n)
		}
		var f formula
		if left, constant := n.Left.(*ast.StringNode); constant {
			f = boolFormula(left.Value == s.Value)
		} else {
			f = r.equals(n.Left, s.Value)
		}
		if f == nil {
			return r.unknown(n)
		}
		some = or(some, f)
	}
	return some
}

// substring reads comparisons with a part of a name, where they come to whole names, to all
// teams of an organisation or to all addresses of a domain.
func (r *ruleReader) substring(n *ast.BinaryNode) formula {
	s, ok := n.Right.(*ast.StringNode)
	if !ok || !r.isElement(n.Left) && !isClaim(n.Left, "email") {
		return r.unknown(n)
	}
	var names []string
	switch n.Operator {
	case "startsWith":
		names = []string{escapeStar(s.Value) + "*"}
	case "endsWith":
		names = []string{"*" + escapeStar(s.Value)}
	case "contains":
		names = []string{"*" + escapeStar(s.Value) + "*"}
	case "matches":
		if names, ok = enumerateNames(s.Value); !ok {
			return r.fail(n.Right, "the regular expression does not compile")
		}
	}
	some := never
	for _, name := range names {
		f := r.equalsPattern(n.Left, name)
		if f == nil {
			return r.unknown(n)
		}
		some = or(some, f)
	}
	if len(names) == 0 {
		return r.unknown(n)
	}
	return some
}

// equalsPattern reads a name with * for any letters.
func (r *ruleReader) equalsPattern(n ast.Node, name string) formula {
	text := strings.ReplaceAll(name, "\x03", "*")
	switch stars := strings.Count(name, "*"); {
	case stars == 0:
		return r.equals(n, text)
	case stars > 1:
	case r.isElement(n) && strings.HasSuffix(name, ":*") && !strings.Contains(name, "\x03"):
		return formula{{{atom: atom{teamsAtom, strings.TrimSuffix(name, "*")}}}}
	case isClaim(n, "email") && strings.HasPrefix(name, "*@") && strings.Count(name, "@") == 1:
		return formula{{{atom: atom{domainAtom, strings.TrimPrefix(name, "*@")}}}}
	}
	return nil
}

// builtin reads any, none and what else asks about the groups one by one.
func (r *ruleReader) builtin(n *ast.BuiltinNode) formula {
	if len(n.Arguments) != 2 || !isClaim(n.Arguments[0], "groups") {
		return r.unknown(n)
	}
	switch n.Name {
	case "any", "filter", "count":
		return r.anyGroup(n, n.Arguments[1])
	case "none":
		return r.negateFormula(r.anyGroup(n, n.Arguments[1]))
	}
	return r.unknown(n)
}

func (r *ruleReader) negateFormula(f formula) formula {
	if f == nil {
		return nil
	}
	return not(f)
}

// anyGroup gives when some group fits a predicate: one group fits all literals of a
// conjunction, so that only conjunctions of one literal say it of a person.
func (r *ruleReader) anyGroup(n, predicate ast.Node) formula {
	outer := r.inPredicate
	r.inPredicate = true
	f := r.boolean(predicate)
	r.inPredicate = outer
	if canFail(predicate) {
		return r.unknown(n)
	}
	for _, c := range f {
		if len(c) != 1 || c[0].not || c[0].kind != groupAtom && c[0].kind != teamsAtom {
			return r.unknown(n)
		}
	}
	return f
}

// count reads count(groups, ...) > 0 and len(filter(groups, ...)) > 0.
func (r *ruleReader) count(n *ast.BinaryNode) formula {
	limit, ok := n.Right.(*ast.IntegerNode)
	f := r.countOf(n.Left)
	switch {
	case !ok || f == nil:
	case n.Operator == ">" && limit.Value == 0, n.Operator == ">=" && limit.Value == 1:
		return f
	case n.Operator == "<" && limit.Value == 1:
		return not(f)
	}
	return r.unknown(n)
}

func (r *ruleReader) countOf(n ast.Node) formula {
	b, ok := n.(*ast.BuiltinNode)
	if !ok {
		return nil
	}
	if b.Name == "len" && len(b.Arguments) == 1 {
		if inner, ok := b.Arguments[0].(*ast.BuiltinNode); ok && inner.Name == "filter" {
			return r.builtin(inner)
		}
	}
	if b.Name == "count" && len(b.Arguments) == 2 {
		return r.builtin(b)
	}
	return nil
}
