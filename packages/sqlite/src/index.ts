/** The name that this store is logged and exported under. */
export const storeName = 'sqlite';
