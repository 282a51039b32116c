package importer

import (
	"errors"
	"reflect"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/conf"
	exprfile "github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// claims are what argo-server gives to a rule, with the types that JSON gives them
// (server/auth/gatekeeper.go, server/auth/types/claims.go).
var claims = map[string]any{
	"iss": "", "sub": "", "aud": []any{}, "exp": 0.0, "nbf": 0.0, "iat": 0.0, "jti": "", "groups": []any{}, "email": "",
	"name": "", "preferred_username": "", "service_account_name": "", "service_account_namespace": "",
}

// checkTypes gives the error with which argo-server fails over a rule that its parser accepts.
func checkTypes(tree *parser.Tree) error {
	kind, err := checker.Check(tree, conf.New(claims))
	switch {
	case err != nil:
		return doesNotCompile(err)
	case kind == nil || kind.Kind() != reflect.Bool && kind.Kind() != reflect.Interface:
		return &ruleError{message: "the rule gives neither true nor false", fatal: true}
	}
	return nil
}

func doesNotCompile(err error) error {
	var at *exprfile.Error
	if errors.As(err, &at) {
		return &ruleError{message: "the rule does not compile: " + at.Message, column: at.From + 1, fatal: true}
	}
	return &ruleError{message: "the rule does not compile: " + err.Error(), fatal: true}
}

// canFail tells whether a condition can end a rule with an error while it runs, so that
// argo-server denies what the rest of the rule would allow. In doubt, it can.
func canFail(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BoolNode:
		return false
	case *ast.PredicateNode:
		return canFail(n.Node)
	case *ast.UnaryNode:
		return n.Operator != "!" && n.Operator != "not" || canFail(n.Node)
	case *ast.ConditionalNode:
		return canFail(n.Cond) || canFail(n.Exp1) || canFail(n.Exp2)
	case *ast.BuiltinNode:
		switch n.Name {
		case "any", "all", "none", "one":
			return !isClaim(n.Arguments[0], "groups") || canFail(n.Arguments[1])
		}
	case *ast.BinaryNode:
		return comparisonCanFail(n)
	}
	return true
}

func comparisonCanFail(n *ast.BinaryNode) bool {
	switch n.Operator {
	case "&&", "and", "||", "or":
		return canFail(n.Left) || canFail(n.Right)
	case "==", "!=":
		return (!isValue(n.Left) && canFail(n.Left)) || (!isValue(n.Right) && canFail(n.Right))
	case "in":
		list, ok := n.Right.(*ast.ArrayNode)
		return !isValue(n.Left) || !isClaim(n.Right, "groups") && (!ok || !allValues(list.Nodes))
	case "startsWith", "endsWith", "contains", "matches":
		_, constant := n.Right.(*ast.StringNode)
		return !isText(n.Left) || !constant
	case ">", ">=", "<", "<=":
		return !isNumber(n.Left) || !isNumber(n.Right)
	}
	return true
}

// isValue tells a value that is there without a computation that can fail.
func isValue(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.NilNode, *ast.FloatNode, *ast.IdentifierNode:
		return true
	case *ast.ArrayNode:
		return allValues(n.Nodes)
	}
	return isText(n) || isNumber(n)
}

func allValues(nodes []ast.Node) bool {
	for _, n := range nodes {
		if !isValue(n) {
			return false
		}
	}
	return true
}

// isText tells a text: each group is one.
func isText(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.StringNode:
		return true
	case *ast.PointerNode:
		return n.Name == ""
	case *ast.IdentifierNode:
		_, ok := claims[n.Value].(string)
		return ok
	case *ast.BuiltinNode:
		switch n.Name {
		case "lower", "upper", "trim":
			return len(n.Arguments) == 1 && isText(n.Arguments[0])
		}
	}
	return false
}

func isNumber(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return true
	case *ast.IdentifierNode:
		_, ok := claims[n.Value].(float64)
		return ok
	case *ast.BuiltinNode:
		switch {
		case n.Name == "len" && len(n.Arguments) == 1:
			return isText(n.Arguments[0]) || isClaim(n.Arguments[0], "groups") || isGroupFilter(n.Arguments[0])
		case n.Name == "count" && len(n.Arguments) == 2:
			return isClaim(n.Arguments[0], "groups") && !canFail(n.Arguments[1])
		}
	}
	return false
}

func isGroupFilter(n ast.Node) bool {
	b, ok := n.(*ast.BuiltinNode)
	return ok && b.Name == "filter" && len(b.Arguments) == 2 && isClaim(b.Arguments[0], "groups") &&
		!canFail(b.Arguments[1])
}
