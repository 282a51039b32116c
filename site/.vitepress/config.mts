// Builds docs/ into a static site. docs/ stays plain Markdown that GitHub renders as well:
// what differs between the two is translated here.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'
import { repository, slug, toRepository } from './markdown.mts'
import { sidebar } from './sidebar.mts'

const docs = fileURLToPath(new URL('../../docs', import.meta.url))
const vue = dirname(createRequire(import.meta.url).resolve('vue/package.json'))
const page = (text: string, link: string) => ({ text, link: '/' + link })

export default defineConfig({
  title: 'authgate',
  description: 'One login and one policy file in front of Argo CD, Argo Workflows and other dashboards',
  lang: 'en',
  srcDir: docs,
  rewrites: { 'README.md': 'index.md' },
  base: process.env.SITE_BASE ?? '/',
  cleanUrls: true,
  lastUpdated: false,
  head: [['meta', { name: 'referrer', content: 'same-origin' }]],
  // Pages become components that import vue, which is not above docs/.
  vite: { resolve: { alias: { vue } } },
  markdown: {
    languageAlias: { caddyfile: 'nginx' },
    anchor: { slugify: slug },
    toc: { slugify: slug },
    config: (md) => md.use(toRepository),
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: { pattern: repository + '/edit/main/docs/:path' },
    nav: [page('Concepts', 'concepts'), page('Install', 'install'), page('Policy', 'policy'), page('FAQ', 'faq')],
    sidebar: sidebar(docs),
  },
})
