// The differences between Markdown on GitHub and on the site.
import { posix } from 'node:path'
import type { MarkdownIt } from 'vitepress'

export const repository = 'https://github.com/example-org/authgate'

// slug makes the same anchor of a heading as GitHub does, so that links work in both.
export function slug(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
    .replace(/ /g, '-')
}

// toRepository leads links to files outside docs/ to the repository.
export function toRepository(md: MarkdownIt): void {
  md.core.ruler.push('to-repository', (state) => {
    for (const block of state.tokens) {
      for (const token of block.children ?? []) {
        const href = token.type === 'link_open' && token.attrGet('href')
        if (href && href.startsWith('../')) {
          const path = posix.normalize('docs/' + href)
          token.attrSet('href', `${repository}/blob/main/${path}`)
        }
      }
    }
  })
}
