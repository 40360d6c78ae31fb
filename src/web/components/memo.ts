import { Component, type ComponentType, h } from 'preact';

/** A component that is rendered again only when one of its properties is another value. */
export function memo<P extends object>(Inner: ComponentType<P>): ComponentType<P> {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const keys = new Set([...Object.keys(this.props), ...Object.keys(next)]) as Set<keyof P>;
      for (const key of keys) if (this.props[key] !== next[key]) return true;
      return false;
    }

    override render() {
      return h(Inner, this.props as P);
    }
  };
}
