package fault

import "strings"

// DidYouMean ends a fault with a guess at what was meant: `did you mean "x"?`,
// or nothing where no known word is near.
func DidYouMean(word string, known []string) string {
	near, ok := Nearest(word, known)
	if !ok {
		return ""
	}
	return `did you mean "` + near + `"?`
}

// Nearest finds the known word that a person probably meant: the one with the
// fewest edits, if those are at most a third of the word.
func Nearest(word string, known []string) (string, bool) {
	best, fewest := "", len(word)/3+1
	for _, k := range known {
		if strings.EqualFold(word, k) {
			return k, true
		}
		if d := edits(strings.ToLower(word), strings.ToLower(k)); d < fewest {
			best, fewest = k, d
		}
	}
	return best, best != ""
}

// edits counts insertions, deletions, substitutions and swaps of neighbours
// (optimal string alignment): the slips that fingers make.
func edits(a, b string) int {
	twoBack, previous, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			swap := 1
			if a[i-1] == b[j-1] {
				swap = 0
			}
			row[j] = min(previous[j]+1, row[j-1]+1, previous[j-1]+swap)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], twoBack[j-2]+1)
			}
		}
		twoBack, previous, row = previous, row, twoBack
	}
	return previous[len(b)]
}
