package importer

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"unicode"
)

// language is the set of words that a pattern of Argo CD matches, as the program
// of a regular expression that has to match the whole word.
type language struct{ prog *syntax.Prog }

// newLanguage reads an expression as package regexp does.
func newLanguage(expression string) (*language, error) {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	return &language{prog}, nil
}

func mustLanguage(expression string) *language {
	l, err := newLanguage(expression)
	if err != nil {
		panic(err)
	}
	return l
}

// maxStates bounds one search. Patterns that real policies hold need a few hundred.
const maxStates = 5000

// searchState is where a search has come to: what each language may read next, and the
// letter before, on which ^, $ and \b depend.
type searchState struct {
	next   [][]uint32
	before rune
}

// searchWords looks for words that are in all of the languages, and tells for each kind of
// word in which of the others it is: bit i stands for others[i]. It ends early when
// found returns false. Without an answer in time it returns false, too.
func searchWords(all, others []*language, found func(membership uint64) bool) (complete bool) {
	both := slices.Concat(all, others)
	letters := lettersOf(both)
	start := searchState{before: -1}
	for _, l := range both {
		start.next = append(start.next, []uint32{uint32(l.prog.Start)})
	}
	pending, seen := []searchState{start}, map[string]bool{start.key(): true}
	reported := map[uint64]bool{}
	for len(pending) > 0 {
		at := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		for _, letter := range letters {
			to, matched := at.step(both, letter)
			if letter == endOfWord {
				membership := matched >> len(all)
				if needed := uint64(1)<<len(all) - 1; matched&needed == needed && !reported[membership] {
					reported[membership] = true
					if !found(membership) {
						return true
					}
				}
				continue
			}
			if slices.ContainsFunc(to.next[:len(all)], func(next []uint32) bool { return len(next) == 0 }) ||
				seen[to.key()] {
				continue
			}
			if len(seen) == maxStates {
				return false
			}
			seen[to.key()] = true
			pending = append(pending, to)
		}
	}
	return true
}

// overlaps reports whether some word is in all of the languages; it says no where the
// search takes too long.
func overlaps(all ...*language) bool {
	some := false
	searchWords(all, nil, func(uint64) bool { some = true; return false })
	return some
}

const endOfWord rune = -1

func (s searchState) step(all []*language, letter rune) (to searchState, matched uint64) {
	to = searchState{next: make([][]uint32, len(all)), before: letterClass(letter)}
	context := syntax.EmptyOpContext(s.before, letter)
	for i, l := range all {
		for _, pc := range epsilonClosure(l.prog, s.next[i], context) {
			switch inst := &l.prog.Inst[pc]; inst.Op {
			case syntax.InstMatch:
				matched |= 1 << i
			default:
				if letter != endOfWord && inst.MatchRune(letter) {
					to.next[i] = append(to.next[i], inst.Out)
				}
			}
		}
		slices.Sort(to.next[i])
		to.next[i] = slices.Compact(to.next[i])
	}
	return to, matched
}

// epsilonClosure follows a program up to what reads a letter, or ends.
func epsilonClosure(prog *syntax.Prog, from []uint32, context syntax.EmptyOp) []uint32 {
	var found []uint32
	seen := make([]bool, len(prog.Inst))
	pending := slices.Clone(from)
	for len(pending) > 0 {
		pc := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch inst := &prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			pending = append(pending, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			pending = append(pending, inst.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^context == 0 {
				pending = append(pending, inst.Out)
			}
		case syntax.InstFail:
		default:
			found = append(found, pc)
		}
	}
	return found
}

// letterClass gives one letter for all that ^, $ and \b do not tell apart.
func letterClass(letter rune) rune {
	switch {
	case letter == '\n':
		return '\n'
	case syntax.IsWordChar(letter):
		return 'a'
	}
	return ' '
}

func (s searchState) key() string {
	key := binary.AppendVarint(nil, int64(s.before))
	for _, next := range s.next {
		key = binary.AppendUvarint(key, uint64(len(next)))
		for _, pc := range next {
			key = binary.AppendUvarint(key, uint64(pc))
		}
	}
	return string(key)
}

// lettersOf gives one letter for each set of letters that no language tells apart,
// and the end of a word.
func lettersOf(all []*language) []rune {
	bounds := []rune{0, '\n', '\n' + 1, '0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1}
	for _, l := range all {
		for i := range l.prog.Inst {
			inst := &l.prog.Inst[i]
			if inst.Op != syntax.InstRune && inst.Op != syntax.InstRune1 && inst.Op != syntax.InstRuneAnyNotNL {
				continue
			}
			for j := 0; j+1 < len(inst.Rune); j += 2 {
				bounds = append(bounds, inst.Rune[j], inst.Rune[j+1]+1)
			}
			if len(inst.Rune) == 1 { // one letter, which may stand for its other cases
				bounds = append(bounds, inst.Rune[0], inst.Rune[0]+1)
				for r := unicode.SimpleFold(inst.Rune[0]); r != inst.Rune[0]; r = unicode.SimpleFold(r) {
					bounds = append(bounds, r, r+1)
				}
			}
		}
	}
	slices.Sort(bounds)
	bounds = slices.DeleteFunc(slices.Compact(bounds), func(r rune) bool { return r > unicode.MaxRune })
	return append(bounds, endOfWord)
}
