// Builds what report/elements.py describes. Text only ever becomes text: nothing here parses markup.

const TAGS = new Set([
  'a', 'button', 'caption', 'dd', 'details', 'div', 'dl', 'dt', 'footer', 'h1', 'h2', 'h3', 'header', 'li', 'ol', 'p', 'section',
  'small', 'span', 'strong', 'summary', 'table', 'tbody', 'td', 'tfoot', 'th', 'thead', 'time', 'tr', 'ul',
])
const DRAWN = new Set(['circle', 'line', 'path', 'svg'])
const ATTRIBUTES = new Set([
  'class', 'colspan', 'cx', 'cy', 'd', 'datetime', 'dir', 'id', 'lang', 'open', 'r', 'role', 'scope', 'tabindex', 'title', 'type',
  'viewBox', 'x1', 'x2', 'y1', 'y2',
])
// Addresses stay within the report.
const ADDRESS = /^(\.|[a-z]*)\?[^\s]*$/

function build([tag, attributes, ...children], emit) {
  if (!TAGS.has(tag) && !DRAWN.has(tag)) throw new Error(`no element ${tag}`)
  const element = DRAWN.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'event') {
      element.addEventListener('click', (click) => {
        // A new tab or window is the browser's to open.
        if (click.ctrlKey || click.metaKey || click.shiftKey || click.button !== 0) return
        click.preventDefault()
        emit(value)
      })
    } else if (name === 'share') {
      element.style.setProperty('--share', String(Number(value)))
    } else if (name === 'href') {
      if (ADDRESS.test(value)) element.setAttribute('href', value)
    } else if (ATTRIBUTES.has(name) || /^(aria|data)-[a-z-]+$/.test(name)) {
      element.setAttribute(name, String(value))
    } else {
      throw new Error(`no attribute ${name}`)
    }
  }
  for (const child of children) {
    element.append(typeof child === 'string' ? document.createTextNode(child) : build(child, emit))
  }
  return element
}

const shown = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  document.documentElement.lang = data.language
  const root = parentElement.querySelector('.elements')
  // Who looks can tell whether all parts of a page are of one making.
  root.dataset.generation = data.generation
  root.dataset.run = data.run
  const description = JSON.stringify(data.nodes)
  if (shown.get(root) === description) return
  shown.set(root, description)
  // What somebody unfolded, and where the keyboard is, stays over a change.
  const keyed = (selector) => [...root.querySelectorAll(selector)].map((element) => element.dataset.key)
  const unfolded = new Set(keyed('details[open][data-key]'))
  const focused = parentElement.activeElement?.dataset?.key
  const emit = (value) => setTriggerValue('event', value)
  root.replaceChildren(...data.nodes.map((node) => build(node, emit)))
  for (const element of root.querySelectorAll('[data-key]')) {
    if (element.tagName === 'DETAILS' && unfolded.has(element.dataset.key)) element.open = true
    if (focused && element.dataset.key === focused) element.focus()
  }
}
