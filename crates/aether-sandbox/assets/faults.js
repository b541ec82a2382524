// to come
export function open(holder) { holder.replaceChildren(); }
